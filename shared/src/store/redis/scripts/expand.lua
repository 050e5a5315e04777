#!lua
-- Appends the next deliveries of a fan-out, and replaces its entry by one with a later cursor.
--
-- KEYS: lease, lane, body, left, app; then the lane of each delivery
-- ARGV: fence, entry, what it carries, what follows it (empty: it is done), retention, life of history
--       (ms), (delivery)...
-- Answer: nothing if fenced, otherwise 1, or 0 if the entry is not there.

-- As in settle: a delivery died, the message's own retention, where it counts towards a quota.
local DIED, KEPT, MINUTE, CHARGED = 1000000, 10000000, 60000, 100000000000000

local lease, lane, body, left, app = unpack(KEYS, 1, 5)
local fence, entry, carried, rest, retention, history = unpack(ARGV, 1, 6)

local held = redis.call('GET', lease)
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
local found = redis.call('XRANGE', lane, entry, entry)[1]
if not found or found[2][1] ~= 'f' or found[2][2] ~= carried then
  return 0
end
local life = redis.call('PTTL', body)
local counted = redis.call('GET', left)
local stored = tonumber(counted or 1)
local charged = math.floor(stored / CHARGED)
local minutes = math.floor(stored % CHARGED / KEPT)
stored = stored % KEPT
local kept = minutes > 0 and minutes * MINUTE or tonumber(retention)
local died = stored >= DIED
local open = stored % DIED + #KEYS - 5 - (rest == '' and 1 or 0)

for i = 6, #KEYS do
  redis.call('XADD', KEYS[i], '*', 'd', ARGV[i + 1])
end
if rest ~= '' then
  redis.call('XADD', lane, '*', 'f', rest)
end
redis.call('XDEL', lane, entry)
if life <= 0 then
  return 1
end
local value = string.format('%.0f', open + (died and DIED or 0) + minutes * KEPT
  + (open > 0 and charged * CHARGED or 0))
if open > 0 then
  if counted then
    redis.call('SET', left, value, 'KEEPTTL')
  else
    redis.call('SET', left, value, 'PX', life)
  end
else
  life = string.format('%.0f', died and math.max(kept, tonumber(history)) or kept)
  redis.call('SET', left, value, 'PX', life)
  redis.call('PEXPIRE', body, life)
  local field = 'b:' .. (charged - 1)
  local count = charged > 0 and redis.call('HGET', app, field)
  local slot, bytes = string.match(count or '', '^(%d+) (%d+)$')
  if slot then
    local rest = math.max(bytes - redis.call('STRLEN', body), 0)
    redis.call('HSET', app, field, string.format('%s %.0f', slot, rest))
  end
end
return 1
