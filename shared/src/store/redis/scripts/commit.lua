#!lua
-- Changes an application's configuration in one write.
--
-- KEYS: app; then nudged lanes; then keys to drop
-- ARGV: expected version (empty: none), new version (empty: the application goes), fields to put, fields
--       to remove, nudges; then (field, value)..., (field)..., (nudge)...
-- Answer: 1, or 0 if the version is another one.

local app, expected, version = KEYS[1], ARGV[1], ARGV[2]
local puts, removals, nudges = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if (redis.call('HGET', app, 'v') or '') ~= expected then
  return 0
end
local a = 5
if version == '' then
  redis.call('UNLINK', app)
  a = a + 2 * puts + removals
else
  for _ = 1, puts do
    redis.call('HSET', app, ARGV[a + 1], ARGV[a + 2])
    a = a + 2
  end
  for _ = 1, removals do
    redis.call('HDEL', app, ARGV[a + 1])
    a = a + 1
  end
  redis.call('HSET', app, 'v', version)
end
for i = 1, nudges do
  redis.call('XADD', KEYS[1 + i], '*', 'n', ARGV[a + i])
end
for i = 2 + nudges, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 1
