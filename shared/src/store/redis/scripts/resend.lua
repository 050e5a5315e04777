#!lua
-- Appends a new generation of a delivery.
--
-- KEYS: body, left, app, lane
-- ARGV: the endpoint's field in app, entry, life of a message, retention (ms)
-- Answer: 'queued', 'message' or 'endpoint' for what is missing.

local body, left, app, lane = unpack(KEYS)
local endpoint, entry, life, retention = unpack(ARGV)

if redis.call('EXISTS', body) == 0 then
  return 'message'
elseif redis.call('HEXISTS', app, endpoint) == 0 then
  return 'endpoint'
end
local counted = redis.call('EXISTS', left) == 1
-- A body with no more than its retention left has no open delivery, or would have left it alone anyway.
local over = redis.call('PTTL', body) <= tonumber(retention)

redis.call('XADD', lane, '*', 'd', entry)
if counted then
  redis.call('INCR', left)
  redis.call('PEXPIRE', left, life, 'GT')
elseif not over then
  redis.call('SET', left, 2, 'PX', life)
end
redis.call('PEXPIRE', body, life, 'GT')
return 'queued'
