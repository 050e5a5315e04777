#!lua flags=allow-oom
-- Takes a lease that is exactly as it was seen.
--
-- A lease is '<epoch> <owner> <renewal>'; the owner is empty once it was released. Its beginning up to
-- and with the second space is the fence of the owner's calls.
--
-- KEYS: lease
-- ARGV: owner, the lease as it was seen (empty: there was none)
-- Answer: the epoch, or nothing.

local owner, seen = ARGV[1], ARGV[2]
local current = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local epoch = time[1] * 1000 + math.floor(time[2] / 1000)
if current then
  local old, holder = string.match(current, '^(%d+) (%S*) ')
  if holder == owner then
    return old
  end
  epoch = math.max(epoch, old + 1)
end
if (current or '') ~= seen then
  return false
end
epoch = string.format('%.0f', epoch)
redis.call('SET', KEYS[1], epoch .. ' ' .. owner .. ' 0')
return epoch
