#!lua
-- Writes what nobody reads: fails exactly if the server would refuse new work.
--
-- KEYS: probe
redis.call('SET', KEYS[1], 1, 'PX', 60000)
return 1
