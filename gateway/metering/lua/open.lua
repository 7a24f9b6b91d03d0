-- Begin to count the present window of a budget, unless somebody has begun already.
--   KEYS: epoch, rebuilding, the window, what was charged late
--   ARGV: the epoch that the caller knows; spent, ends, now, since
-- Answers false where the caller's epoch is over, or not all have come to it. What was charged after `since` may be missing
-- in the records that `spent` is the sum of: by that a budget may be smaller, and is never larger.

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return false
end
local call = cmsgpack.unpack(ARGV[2])
local kept = redis.call('HMGET', KEYS[3], 'ends', 'spent')
if kept[2] then
  return 1
end
local spent = call.spent
if not kept[1] or tonumber(kept[1]) < call.ends then
  redis.call('HSET', KEYS[3], 'ends', call.ends, 'leased', 0)
else
  for _, late in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], call.since, '+inf')) do
    spent = spent + tonumber(string.match(late, '^%S+'))
  end
end
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[3], 'spent', spent)
keep_window(KEYS[3], call.ends, call.now)
return 1
