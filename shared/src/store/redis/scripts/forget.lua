#!lua flags=allow-oom
-- Removes handled nudges. Nothing else: after a failover an id may be a delivery's.
--
-- KEYS: lease, lane
-- ARGV: fence, first and last entry, (entry)...
-- Answer: 1, or nothing if fenced.

local lease, lane = unpack(KEYS)
local fence = ARGV[1]
local held = redis.call('GET', lease)
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
-- Mostly neighbours, so that one read finds them all.
local limit, found = 2 * #ARGV, {}
local entries = redis.call('XRANGE', lane, ARGV[2], ARGV[3], 'COUNT', limit)
for _, entry in ipairs(entries) do
  found[entry[1]] = entry[2]
end
local nudges = {}
for i = 4, #ARGV do
  local fields = found[ARGV[i]]
  if not fields and #entries == limit then
    local single = redis.call('XRANGE', lane, ARGV[i], ARGV[i])[1]
    fields = single and single[2]
  end
  if fields and fields[1] == 'n' then
    nudges[#nudges + 1] = ARGV[i]
  end
end
if #nudges > 0 then
  redis.call('XDEL', lane, unpack(nudges))
end
return 1
