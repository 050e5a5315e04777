#!lua
-- Lists an application and claims its uid.
--
-- KEYS: applications, uids, claims
-- ARGV: application, uid, old uid (each '=' and the uid, or empty: none)
-- Answer: 1, or the application that has the uid.

local applications, uids, claims = unpack(KEYS)
local app, uid, old = unpack(ARGV)
local holder = uid ~= '' and redis.call('HGET', uids, string.sub(uid, 2))
if holder and holder ~= app then
  return holder
end
local gives_up = old ~= '' and old ~= uid and redis.call('HGET', uids, string.sub(old, 2)) == app

if uid ~= '' then
  redis.call('HSET', uids, string.sub(uid, 2), app)
end
if gives_up then
  redis.call('HDEL', uids, string.sub(old, 2))
end
redis.call('ZADD', applications, 0, app)
redis.call('HSET', claims, app, redis.call('HINCRBY', claims, 'n', 1))
return 1
