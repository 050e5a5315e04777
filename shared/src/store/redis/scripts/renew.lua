#!lua flags=allow-oom
-- Counts a renewal in each lease that is still held.
--
-- KEYS: leases
-- ARGV: fences, one for each
-- Answer: for each 1 if it is held, otherwise 0.

local answers = {}
for i, lease in ipairs(redis.call('MGET', unpack(KEYS))) do
  local held = lease and string.sub(lease, 1, #ARGV[i]) == ARGV[i]
  answers[i] = held and string.sub(lease, #ARGV[i] + 1) + 1 or 0
end
for i, renewal in ipairs(answers) do
  if renewal > 0 then
    redis.call('SET', KEYS[i], ARGV[i] .. string.format('%.0f', renewal))
    answers[i] = 1
  end
end
return answers
