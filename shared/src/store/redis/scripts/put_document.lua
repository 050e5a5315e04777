#!lua
-- Writes a document, if there is what the caller expects.
--
-- KEYS: documents of the kind
-- ARGV: name, JSON, expected ('*': anything, empty: nothing, or '=' and the JSON)
-- Answer: 1, or 0 if there is something else.

local documents = KEYS[1]
local name, json, expected = unpack(ARGV)
if expected ~= '*' then
  local current = redis.call('HGET', documents, name)
  if (current and '=' .. current or '') ~= expected then
    return 0
  end
end
redis.call('HSET', documents, name, json)
return 1
