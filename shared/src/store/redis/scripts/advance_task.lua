#!lua
-- Makes a step of a task: all checks first, then all writes.
--
-- KEYS: lease, task, open tasks of the lane, agenda, sequence, app, waiting set, dead letters; then for
--       each message body, left
-- ARGV: fence, id, number of the step, status afterwards, place, looked at, total, the endpoint's field
--       in app, queue, life of a message, retention, life of history (ms), superseded dead letters; then
--       (letter)...; then for each message member, its dead letter (or empty)
-- Answer: nothing if fenced, an empty list if there is no such task, otherwise how far it is.

local lease, task, open, agenda, sequence, app, wait, dead = unpack(KEYS, 1, 8)
local fence, id, number, status, place, looked_at, total = unpack(ARGV, 1, 7)
local endpoint, queue, life, retention, history, letters = unpack(ARGV, 8, 13)

local held = redis.call('GET', lease)
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
local function progress()
  return redis.call('HMGET', task, 'status', 'steps', 'total', 'seen', 'sent', 'gone', 'place', 'at')
end
local before = progress()
if not before[1] then
  return {}
elseif before[1] ~= 'running' or tonumber(before[2]) + 1 ~= tonumber(number) then
  return before
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local function ends()
  redis.call('PEXPIRE', task, history)
  redis.call('SREM', open, id)
end
if redis.call('HEXISTS', app, endpoint) == 0 then
  redis.call('HSET', task, 'status', 'endpoint-deleted', 'steps', number, 'at', now)
  ends()
  return progress()
end

local removed, all = {}, {}
for i = 1, tonumber(letters) do
  removed[i] = ARGV[13 + i]
end
local first = 13 + #removed
local messages = (#ARGV - first) / 2
for i = 1, messages do
  all[i] = ARGV[first + 2 * i - 1]
end
local scores = messages > 0 and redis.call('ZMSCORE', wait, unpack(all)) or {}
local members, bodies, lefts = {}, {}, {}
local gone = 0
for i = 1, messages do
  local body, left = KEYS[7 + 2 * i], KEYS[8 + 2 * i]
  local letter = ARGV[first + 2 * i]
  local rest = redis.call('PTTL', body)
  if rest == -2 then
    gone = gone + 1
    letter = ''
  elseif not scores[i] then
    members[#members + 1] = all[i]
    bodies[#bodies + 1] = body
    -- A body with no more than its retention left has no open delivery, or would have left it alone
    -- anyway.
    local counted = redis.call('EXISTS', left) == 1
    lefts[#lefts + 1] = {key = left, counted = counted, over = rest <= tonumber(retention)}
  end
  if letter ~= '' then
    removed[#removed + 1] = letter
  end
end
-- The order starts again when nothing waits in the lane.
local empty = redis.call('EXISTS', agenda) == 0

if #members > 0 then
  local score = 0
  if empty then
    redis.call('SET', sequence, #members)
  else
    score = redis.call('INCRBY', sequence, #members) - #members
  end
  local added = {}
  for i, member in ipairs(members) do
    local left = lefts[i]
    if left.counted then
      redis.call('INCR', left.key)
      redis.call('PEXPIRE', left.key, life, 'GT')
    elseif not left.over then
      redis.call('SET', left.key, 2, 'PX', life)
    end
    redis.call('PEXPIRE', bodies[i], life, 'GT')
    added[2 * i - 1] = string.format('%.0f', score + i)
    added[2 * i] = member
  end
  redis.call('ZADD', wait, 'NX', unpack(added))
  redis.call('ZADD', agenda, 'LT', now, queue)
end
if #removed > 0 then
  redis.call('XDEL', dead, unpack(removed))
end
redis.call('HINCRBY', task, 'seen', looked_at)
redis.call('HINCRBY', task, 'sent', #members)
redis.call('HINCRBY', task, 'gone', gone)
redis.call('HSET', task, 'status', status, 'total', total, 'place', place, 'at', now)
if status ~= 'running' then
  ends()
end
-- Last: should a write fail half way, the repetition makes all of them once more.
redis.call('HSET', task, 'steps', number)
return progress()
