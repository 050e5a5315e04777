#!lua flags=allow-oom
-- Moves deliveries from a lane's stream into waiting sets, in the order given.
--
-- KEYS: lease, lane, agenda, sequence; then for each queue its waiting set
-- ARGV: fence, first and last entry, parks, queues, (queue)...; then each
--       number of its queue, entry, member, delay (ms; empty: due at once, in order)
-- Answer: nothing if fenced, otherwise '1' for each that was moved and '0' for each that was not there.

local lease, lane, agenda, sequence = unpack(KEYS, 1, 4)
local fence, first, last = ARGV[1], ARGV[2], ARGV[3]
local parks, queues = tonumber(ARGV[4]), tonumber(ARGV[5])

local held = redis.call('GET', lease)
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end

-- Mostly neighbours, so that one read finds them all.
local found = {}
local limit = 2 * parks
local entries = redis.call('XRANGE', lane, first, last, 'COUNT', limit)
for _, entry in ipairs(entries) do
  found[entry[1]] = entry[2]
end
local function carried(id)
  if found[id] == nil and #entries == limit then
    local single = redis.call('XRANGE', lane, id, id)[1]
    found[id] = single and single[2]
  end
  return found[id]
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moves, removals, answers, in_order = {}, {}, {}, 0
local a = 5 + queues
for i = 1, parks do
  local queue = tonumber(ARGV[a + 1])
  local id, member, delay = ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  a = a + 4
  local want = ARGV[5 + queue] .. member
  local fields = carried(id)
  if fields and fields[1] == 'd'
      and (fields[2] == want or string.sub(fields[2], 1, #want + 1) == want .. ';') then
    -- Not nil, which would look it up again: nothing is removed yet.
    found[id] = false
    if delay == '' then
      in_order = in_order + 1
    end
    moves[#moves + 1] = {queue = queue, member = member, delay = tonumber(delay)}
    removals[#removals + 1] = id
    answers[i] = '1'
  else
    answers[i] = '0'
  end
end
if #moves == 0 then
  return table.concat(answers)
end
-- The order starts again when nothing waits in the lane.
local empty = redis.call('EXISTS', agenda) == 0

local number = 0
if in_order > 0 then
  if empty then
    redis.call('SET', sequence, in_order)
  else
    number = redis.call('INCRBY', sequence, in_order) - in_order
  end
end
local sets, opens = {}, {}
for _, move in ipairs(moves) do
  local score, due
  if move.delay then
    score = now + move.delay
    due = score
  else
    number = number + 1
    score = number
    due = now
  end
  local set = sets[move.queue]
  if not set then
    set = {}
    sets[move.queue] = set
  end
  set[#set + 1] = string.format('%.0f', score)
  set[#set + 1] = move.member
  opens[move.queue] = math.min(opens[move.queue] or due, due)
end
for queue = 1, queues do
  if sets[queue] then
    redis.call('ZADD', KEYS[4 + queue], 'NX', unpack(sets[queue]))
    redis.call('ZADD', agenda, 'LT', string.format('%.0f', opens[queue]), ARGV[5 + queue])
  end
end
redis.call('XDEL', lane, unpack(removals))
return table.concat(answers)
