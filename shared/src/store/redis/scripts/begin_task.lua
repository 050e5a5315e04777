#!lua
-- Stores a task and nudges its lane.
--
-- KEYS: app, task, open tasks of the lane, lane
-- ARGV: the endpoint's field in app, id, JSON, nudge
-- Answer: 'begun', or 'endpoint' where there is none.

local app, task, open, lane = unpack(KEYS)
local endpoint, id, doc, nudge = unpack(ARGV)

if redis.call('EXISTS', task) == 1 then
  return 'begun'
elseif redis.call('HEXISTS', app, endpoint) == 0 then
  return 'endpoint'
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('XADD', lane, '*', 'n', nudge)
redis.call('SADD', open, id)
redis.call('HSET', task, 'doc', doc, 'status', 'running', 'steps', 0, 'total', '', 'seen', 0,
  'sent', 0, 'gone', 0, 'place', '', 'at', now)
return 'begun'
