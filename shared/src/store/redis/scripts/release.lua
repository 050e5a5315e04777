#!lua flags=allow-oom
-- Gives a lease up and keeps its epoch.
--
-- KEYS: lease
-- ARGV: fence, epoch
-- Answer: 1 if it was held, otherwise 0.

local fence, epoch = ARGV[1], ARGV[2]
local lease = redis.call('GET', KEYS[1])
if not lease or string.sub(lease, 1, #fence) ~= fence then
  return 0
end
redis.call('SET', KEYS[1], epoch .. '  ' .. string.sub(lease, #fence + 1))
return 1
