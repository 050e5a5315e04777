#!lua flags=no-writes
-- Looks at waiting sets.
--
-- KEYS: lease; then for each ask its waiting set and its tries
-- ARGV: fence, first score that is a time; then for each ask how many parked and how many retries
-- A queue is ordered if its waiting set is named `...~<number>`.
-- Answer: nothing if fenced, otherwise for each ask
--         members parked, members due, delay of the next (ms; -1: none), members in all, tries of both.

-- What waits is read at once where it is no more than this: most queues hold little.
local FEW, FEW_TEXT = 16, '16'

local fence, timed = ARGV[1], ARGV[2]
local first_time = tonumber(timed)
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

local function tries_of(try, members)
  local tries = {}
  for first = 1, #members, 1000 do
    local page = redis.call(
      'HMGET', try, unpack(members, first, math.min(first + 999, #members)))
    for _, tried in ipairs(page) do
      tries[#tries + 1] = tried
    end
  end
  return tries
end

-- The first members of an ordered queue, none behind one that is not due.
local function in_order(wait, try, wanted)
  local members, next = {}, -1
  if wanted > 0 then
    members = redis.call('ZRANGE', wait, 0, wanted - 1)
  end
  local tries = tries_of(try, members)
  for i, tried in ipairs(tries) do
    local due = tried and tonumber(string.match(tried, ':%d+:(%d+)'))
    if due and due > now then
      next = due - now
      for later = #members, i, -1 do
        members[later], tries[later] = nil, nil
      end
      break
    end
  end
  return {members, {}, next, redis.call('ZCARD', wait), tries}
end

-- Which members are parked, which are due, and the delay of the next, out of a queue that holds more.
local function split_many(wait, wanted, wanted_retries)
  local parked = redis.call('ZRANGEBYSCORE', wait, '-inf', '(' .. timed, 'LIMIT', 0, wanted)
  local retries = redis.call('ZRANGEBYSCORE', wait, timed, now_text, 'LIMIT', 0, wanted_retries)
  local later = redis.call(
    'ZRANGEBYSCORE', wait, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return parked, retries, later[2] and later[2] - now or -1
end

-- The same, where all that waits is here with its scores.
local function split_few(all, wanted, wanted_retries)
  local parked, retries, next = {}, {}, -1
  for i = 1, #all, 2 do
    local score = tonumber(all[i + 1])
    if score < first_time then
      if #parked < wanted then
        parked[#parked + 1] = all[i]
      end
    elseif score <= now then
      if #retries < wanted_retries then
        retries[#retries + 1] = all[i]
      end
    else
      next = score - now
      break
    end
  end
  return parked, retries, next
end

local function by_time(wait, try, wanted, wanted_retries)
  local all = redis.call('ZRANGE', wait, '0', FEW_TEXT, 'WITHSCORES')
  local waiting, parked, retries, next = #all / 2
  if waiting > FEW then
    waiting = redis.call('ZCARD', wait)
    parked, retries, next = split_many(wait, wanted, wanted_retries)
  else
    parked, retries, next = split_few(all, wanted, wanted_retries)
  end
  -- What is parked was never tried.
  local tries = {}
  for i = 1, #parked do
    tries[i] = false
  end
  for _, tried in ipairs(tries_of(try, retries)) do
    tries[#tries + 1] = tried
  end
  return {parked, retries, next, waiting, tries}
end

local answers = {}
for i = 1, (#KEYS - 1) / 2 do
  local wait, try = KEYS[2 * i], KEYS[2 * i + 1]
  if string.find(wait, '~%d') then
    answers[i] = in_order(wait, try, tonumber(ARGV[2 * i + 1]))
  else
    answers[i] = by_time(wait, try, tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2]))
  end
end
return answers
