#!lua flags=allow-oom
-- Takes cells from buckets: one cell is one of all of them.
--
-- A bucket keeps, for each limit, its theoretical arrival time. A cell that is due later than that,
-- because of another bucket, makes the bucket skip time that others could use: that is a *hole*, and the
-- next cells come out of it. All times are microseconds; a double holds them exactly, if it is not
-- written with fewer digits.
--
-- KEYS: buckets
-- ARGV: cells, spread; then for each bucket version and limits (<gap>:<tolerance>, with blanks between)
-- Answer: the time, then for each cell how long after it it is due

local MOST_HOLES = 32

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local cells, spread = tonumber(ARGV[1]), tonumber(ARGV[2])

local function written(number)
  return string.format('%.0f', number)
end

-- Pairs of numbers out of a text.
local function pairs_of(text)
  local all = {}
  for one, other in string.gmatch(text or '', '(%d+):(%d+)') do
    all[#all + 1] = {tonumber(one), tonumber(other)}
  end
  return all
end

local function open(key, version, limits)
  local found = redis.call('HMGET', key, 'v', 'limits', 'arrivals', 'holes')
  if found[1] and tonumber(found[1]) > tonumber(version) then
    version, limits = found[1], found[2]
  end
  local before, latest = {}, 0
  for arrival in string.gmatch(found[3] or '', '%d+') do
    before[#before + 1] = tonumber(arrival)
    latest = math.max(latest, tonumber(arrival))
  end
  local same = found[2] == limits
  local bucket = {key = key, version = version, limits = limits, gap = 0, holes = {}}
  bucket.paces, bucket.arrivals = pairs_of(limits), {}
  for i, pace in ipairs(bucket.paces) do
    local gap, tolerance = pace[1], pace[2]
    bucket.gap = math.max(bucket.gap, gap)
    bucket.arrivals[i] = same and before[i] or math.min(latest, now + tolerance + gap)
  end
  for _, hole in ipairs(same and pairs_of(found[4]) or {}) do
    if hole[2] >= now then
      table.insert(bucket.holes, hole)
    end
  end
  return bucket
end

-- The first time from t on at which the bucket has a cell.
local function earliest(bucket, t)
  local ready = t
  for i, pace in ipairs(bucket.paces) do
    ready = math.max(ready, bucket.arrivals[i] - pace[2])
  end
  for _, hole in ipairs(bucket.holes) do
    if t <= hole[2] then
      ready = math.min(ready, math.max(t, hole[1]))
    end
  end
  return ready
end

local function add_hole(holes, from, to)
  if from <= to and #holes < MOST_HOLES then
    table.insert(holes, {from, to})
  end
end

local function occupy(bucket, t)
  local holes, inside = {}, false
  for _, hole in ipairs(bucket.holes) do
    if not inside and hole[1] <= t and t <= hole[2] then
      inside = true
      add_hole(holes, hole[1], t - bucket.gap)
      add_hole(holes, t + bucket.gap, hole[2])
    else
      add_hole(holes, hole[1], hole[2])
    end
  end
  bucket.holes = holes
  if inside then
    return
  end
  local full = now
  for i, pace in ipairs(bucket.paces) do
    full = math.max(full, bucket.arrivals[i])
    bucket.arrivals[i] = math.max(bucket.arrivals[i], t) + pace[1]
  end
  add_hole(bucket.holes, full, t - bucket.gap)
end

local buckets = {}
for i, key in ipairs(KEYS) do
  buckets[i] = open(key, ARGV[1 + 2 * i], ARGV[2 + 2 * i])
end

local answer, first, t = {written(now)}, nil, now
for _ = 1, cells do
  -- Until all agree: a later time can only move further.
  local agreed
  repeat
    agreed = t
    for _, bucket in ipairs(buckets) do
      t = earliest(bucket, t)
    end
  until agreed == t
  first = first or t
  if t > first + spread then
    break
  end
  for _, bucket in ipairs(buckets) do
    occupy(bucket, t)
  end
  answer[#answer + 1] = written(t - now)
end

for _, bucket in ipairs(buckets) do
  local arrivals, holes, latest = {}, {}, now
  for i, arrival in ipairs(bucket.arrivals) do
    arrivals[i] = written(arrival)
    latest = math.max(latest, arrival)
  end
  for i, hole in ipairs(bucket.holes) do
    holes[i] = written(hole[1]) .. ':' .. written(hole[2])
  end
  redis.call('HSET', bucket.key, 'v', bucket.version, 'limits', bucket.limits,
    'arrivals', table.concat(arrivals, ' '), 'holes', table.concat(holes, ' '))
  -- Once all that was taken is made up for, the bucket is as full as one that nobody ever asked.
  redis.call('PEXPIRE', bucket.key, written(math.floor((latest - now) / 1000) + 1))
end
return answer
