#!lua
-- Appends a new generation of a delivery.
--
-- KEYS: body, left, app, lane
-- ARGV: the endpoint's field in app, entry, life of a message (ms)
-- Answer: 'queued', 'message' or 'endpoint' for what is missing.

local body, left, app, lane = unpack(KEYS)
local endpoint, entry, life = unpack(ARGV)

if redis.call('EXISTS', body) == 0 then
  return 'message'
elseif redis.call('HEXISTS', app, endpoint) == 0 then
  return 'endpoint'
end
local open = redis.call('GET', left)

redis.call('XADD', lane, '*', 'd', entry)
if open then
  redis.call('INCR', left)
  redis.call('PEXPIRE', left, life, 'GT')
else
  -- Whether the first delivery is over is not known. Too high is safe: the body only lives longer.
  redis.call('SET', left, 2, 'PX', life)
end
redis.call('PEXPIRE', body, life, 'GT')
return 'queued'
