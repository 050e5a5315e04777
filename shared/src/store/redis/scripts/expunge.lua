#!lua flags=allow-oom
-- Replaces a message's record by one without content. Its life stays as it is; what it counted for more
-- is given back to its application's quota.
--
-- KEYS: body, left, app
-- ARGV: record
-- Answer: 1, or 0 if there is no such message.

local CHARGED = 100000000000000

local body, left, app = unpack(KEYS)
local size = redis.call('STRLEN', body)
if size == 0 then
  return 0
end
local field = 'b:' .. (math.floor((redis.call('GET', left) or 0) / CHARGED) - 1)
local slot, bytes = string.match(redis.call('HGET', app, field) or '', '^(%d+) (%d+)$')

redis.call('SET', body, ARGV[1], 'KEEPTTL')
if slot then
  local rest = math.max(bytes - size + #ARGV[1], 0)
  redis.call('HSET', app, field, string.format('%s %.0f', slot, rest))
end
return 1
