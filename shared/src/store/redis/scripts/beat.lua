#!lua flags=allow-oom
-- Counts a sign of life: a full server must not make its nodes look dead.
--
-- KEYS: nodes
-- ARGV: owner
-- Answer: the count of each node.

redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
return redis.call('HGETALL', KEYS[1])
