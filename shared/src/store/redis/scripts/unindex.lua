#!lua flags=allow-oom
-- Takes an application out of the list, and its uid with it.
--
-- KEYS: applications, uids
-- ARGV: application, uid ('=' and the uid, or empty: none)
-- Answer: 1

local applications, uids = unpack(KEYS)
local app, uid = unpack(ARGV)
local owned = uid ~= '' and redis.call('HGET', uids, string.sub(uid, 2)) == app
if owned then
  redis.call('HDEL', uids, string.sub(uid, 2))
end
redis.call('ZREM', applications, app)
return 1
