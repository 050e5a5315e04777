#!lua
-- Ends a task that runs and nudges its lane.
--
-- KEYS: task, open tasks of the lane, lane
-- ARGV: id, nudge, life of history (ms)
-- Answer: 1, or 0 where it does not run.

local task, open, lane = unpack(KEYS)
local id, nudge, history = unpack(ARGV)

if redis.call('HGET', task, 'status') ~= 'running' then
  return 0
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', task, 'status', 'cancelled', 'at', now)
redis.call('PEXPIRE', task, history)
redis.call('SREM', open, id)
redis.call('XADD', lane, '*', 'n', nudge)
return 1
