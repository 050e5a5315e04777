#!lua flags=allow-oom
-- Replaces a message's record by one without content. Its life stays as it is.
--
-- KEYS: body
-- ARGV: record
-- Answer: 1, or 0 if there is no such message.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
return 1
