#!lua flags=allow-oom
-- Removes handled nudges. Nothing else: after a failover an id may be a delivery's.
--
-- KEYS: lease, lane
-- ARGV: fence, (entry)...
-- Answer: 1, or nothing if fenced.

local lease, lane = unpack(KEYS)
local fence = ARGV[1]
local held = redis.call('GET', lease)
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
local nudges = {}
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', lane, ARGV[i], ARGV[i])[1]
  if entry and entry[2][1] == 'n' then
    nudges[#nudges + 1] = ARGV[i]
  end
end
if #nudges > 0 then
  redis.call('XDEL', lane, unpack(nudges))
end
return 1
