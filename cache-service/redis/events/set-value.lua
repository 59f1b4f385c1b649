-- Sets the value of one type.
--
-- KEYS[1]: the key (the type itself).  ARGV[1]: the value.  ARGV[2]: '1' to read the value back.
-- Returns the value read back, or nil.

redis.call('SET', KEYS[1], ARGV[1])
return ARGV[2] == '1' and redis.call('GET', KEYS[1])
