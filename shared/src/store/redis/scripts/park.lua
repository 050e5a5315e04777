#!lua flags=allow-oom
-- Moves deliveries from a lane's stream into waiting sets, in the order given.
--
-- KEYS: lease, lane, agenda, sequence; then for each queue its waiting set and its tries
-- ARGV: fence, first and last entry, parks, queues, (queue)...; then each
--       number of its queue, entry, member, delay (ms; empty: due at once, in order)
-- In a queue named `...~<number>` the order is kept with a delay, too.
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
local ordered = {}
for queue = 1, queues do
  ordered[queue] = string.find(ARGV[5 + queue], '~%d') ~= nil
end
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
    local move = {queue = queue, member = member, delay = tonumber(delay)}
    move.in_order = delay == '' or ordered[queue]
    if move.in_order then
      in_order = in_order + 1
    end
    if move.delay and ordered[queue] then
      move.is_new = not redis.call('ZSCORE', KEYS[3 + 2 * queue], member)
    end
    moves[#moves + 1] = move
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
  local due = now + (move.delay or 0)
  local score = due
  if move.in_order then
    number = number + 1
    score = number
  end
  local set = sets[move.queue]
  if not set then
    set = {}
    sets[move.queue] = set
  end
  set[#set + 1] = string.format('%.0f', score)
  set[#set + 1] = move.member
  if ordered[move.queue] then
    opens[move.queue] = opens[move.queue] or due
  else
    opens[move.queue] = math.min(opens[move.queue] or due, due)
  end
end
for queue = 1, queues do
  if sets[queue] then
    redis.call('ZADD', KEYS[3 + 2 * queue], 'NX', unpack(sets[queue]))
    redis.call('ZADD', agenda, ordered[queue] and 'NX' or 'LT',
      string.format('%.0f', opens[queue]), ARGV[5 + queue])
  end
end
for _, move in ipairs(moves) do
  if move.is_new then
    redis.call('HSETNX', KEYS[4 + 2 * move.queue], move.member,
      '0:0:' .. string.format('%.0f', now + move.delay))
  end
end
redis.call('XDEL', lane, unpack(removals))
return table.concat(answers)
