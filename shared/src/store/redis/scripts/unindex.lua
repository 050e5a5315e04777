#!lua flags=allow-oom
-- Takes an application out of the list, and its uid with it, unless somebody has claimed it anew.
--
-- KEYS: applications, uids, claims
-- ARGV: application, uid ('=' and the uid, or empty: none), claim (0: from before there were claims)
-- Answer: 1

local applications, uids, claims = unpack(KEYS)
local app, uid, claim = unpack(ARGV)
if (redis.call('HGET', claims, app) or '0') ~= claim then
  return 1
end
local owned = uid ~= '' and redis.call('HGET', uids, string.sub(uid, 2)) == app
if owned then
  redis.call('HDEL', uids, string.sub(uid, 2))
end
redis.call('ZREM', applications, app)
redis.call('HDEL', claims, app)
return 1
