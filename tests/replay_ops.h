/* The operations of the script, one row each: name, arguments, properties, function.

   Arguments: M map (not busy), p path, e end of a range, n number or value, f flag, b byte, B bytes, a value
   algebra, c rule for conflicts, l how a key stands to another, R open reader, r reader to be opened, W open writer, w
   writer to be opened, X open mixed trie, x one to be opened, T open transaction, t one to be opened. The function of
   row `x` is model_on_x in replay_model.c and library_on_x in replay_library.c. */
#ifndef REPLAY_OPS_H
#define REPLAY_OPS_H

enum {
    OP_PLAIN = 0,
    OP_CLOSES = 1,      /* the register named is free afterwards */
    OP_TXN_MAP = 2,     /* refused while the transaction's map is busy */
    OP_HEAD = 4,        /* needs a head */
    OP_HEAD_OPENS = 8,  /* makes one */
    OP_HEAD_CLOSES = 16,
    OP_DISTINCT = 32,   /* its two writers must differ */
    OP_TWO_MAPS = 64    /* its first two maps must */
};

#define REPLAY_OPS(X)                                             \
    X("mode", "a", OP_PLAIN, mode)                                \
    X("set", "Mpn", OP_PLAIN, set)                                \
    X("get", "Mp", OP_PLAIN, get)                                 \
    X("del", "Mpf", OP_PLAIN, del)                                \
    X("has", "Mp", OP_PLAIN, has)                                 \
    X("create", "Mp", OP_PLAIN, create)                           \
    X("prune", "Mp", OP_PLAIN, prune)                             \
    X("rmbranches", "Mpf", OP_PLAIN, rmbranches)                  \
    X("count", "M", OP_PLAIN, count)                              \
    X("locs", "M", OP_PLAIN, locs)                                \
    X("clone", "MM", OP_PLAIN, clone)                             \
    X("drop", "M", OP_PLAIN, drop)                                \
    X("list", "M", OP_PLAIN, list)                                \
    X("hash", "M", OP_PLAIN, hash)                                \
    X("eq", "MM", OP_PLAIN, eq)                                   \
    X("join", "MMM", OP_PLAIN, join)                              \
    X("meet", "MMM", OP_PLAIN, meet)                              \
    X("sub", "MMM", OP_PLAIN, sub)                                \
    X("restrict", "MMM", OP_PLAIN, restrict)                      \
    X("sub1", "MMp", OP_PLAIN, sub1)                              \
    X("kcount", "Mn", OP_PLAIN, kcount)                           \
    X("fold", "M", OP_PLAIN, fold)                                \
    X("check", "M", OP_PLAIN, check)                              \
    X("ropen", "rMp", OP_PLAIN, ropen)                            \
    X("rclose", "R", OP_CLOSES, rclose)                           \
    X("rfork", "Rr", OP_PLAIN, rfork)                             \
    X("wopen", "wMp", OP_PLAIN, wopen)                            \
    X("wclose", "W", OP_CLOSES, wclose)                           \
    X("tbegin", "tM", OP_PLAIN, tbegin)                           \
    X("tcommit", "T", OP_CLOSES, tcommit)                         \
    X("troll", "T", OP_CLOSES | OP_TXN_MAP, troll)                \
    X("hopen", "M", OP_HEAD_OPENS, hopen)                         \
    X("hread", "rp", OP_HEAD, hread)                              \
    X("hpin", "rp", OP_HEAD, hpin)                                \
    X("hwrite", "wp", OP_HEAD, hwrite)                            \
    X("hclose", "", OP_HEAD | OP_HEAD_CLOSES, hclose)             \
    X("diff", "MM", OP_PLAIN, diff)                               \
    X("patch", "MMMM", OP_PLAIN, patch)                           \
    X("merge3", "MMMMc", OP_PLAIN, merge3)

/* Order and ranges. */
#define REPLAY_ORDER(X)                                           \
    X("firstval", "M", OP_PLAIN, firstval)                        \
    X("lastval", "M", OP_PLAIN, lastval)                          \
    X("ge", "Mp", OP_PLAIN, ge)                                   \
    X("gt", "Mp", OP_PLAIN, gt)                                   \
    X("le", "Mp", OP_PLAIN, le)                                   \
    X("lt", "Mp", OP_PLAIN, lt)                                   \
    X("longest", "Mp", OP_PLAIN, longest)                         \
    X("prefixes", "Mp", OP_PLAIN, prefixes)                       \
    X("common", "Mp", OP_PLAIN, common)                           \
    X("scan", "Mpen", OP_PLAIN, scan)                             \
    X("rscan", "Mpen", OP_PLAIN, rscan)                           \
    X("rcount", "Mpe", OP_PLAIN, rcount)                          \
    X("rdel", "Mpe", OP_PLAIN, rdel)                              \
    X("rkeep", "Mpe", OP_PLAIN, rkeep)                            \
    X("rank", "Mp", OP_PLAIN, rank)                               \
    X("nth", "Mn", OP_PLAIN, nth)                                 \
    X("psize", "Mp", OP_PLAIN, psize)                             \
    X("split", "MMp", OP_TWO_MAPS, split)                         \
    X("concat", "MMM", OP_PLAIN, concat)

/* Readers of views. Where a place does not exist, none is opened. */
#define REPLAY_VIEWS(X)                                           \
    X("vprefix", "rMpp", OP_PLAIN, vprefix)                       \
    X("voverlay", "rMpMp", OP_PLAIN, voverlay)                    \
    X("vmeet", "rMpMp", OP_PLAIN, vmeet)                          \
    X("vsub", "rMpMp", OP_PLAIN, vsub)                            \
    X("vproduct", "rMpMp", OP_PLAIN, vproduct)

/* Mixed tries: over an image of the map, or the map. `xhang` hangs an image, `xmake` makes a map, `xcommit` commits,
   loads what was committed into the map, and may go on over that version. */
#define REPLAY_MIXED_OPS(X)                                       \
    X("xopen", "xM", OP_PLAIN, xopen)                             \
    X("xclose", "X", OP_CLOSES, xclose)                           \
    X("xclone", "Xx", OP_PLAIN, xclone)                           \
    X("xset", "Xpn", OP_PLAIN, xset)                              \
    X("xget", "Xp", OP_PLAIN, xget)                               \
    X("xdel", "Xpf", OP_PLAIN, xdel)                              \
    X("xhas", "Xp", OP_PLAIN, xhas)                               \
    X("xcreate", "Xp", OP_PLAIN, xcreate)                         \
    X("xprune", "Xp", OP_PLAIN, xprune)                           \
    X("xrmbranches", "Xpf", OP_PLAIN, xrmbranches)                \
    X("xhang", "MXp", OP_PLAIN, xhang)                            \
    X("xgraft", "MXp", OP_PLAIN, xgraft)                          \
    X("xmake", "XM", OP_PLAIN, xmake)                             \
    X("xcommit", "XM", OP_PLAIN, xcommit)                         \
    X("xread", "rXp", OP_PLAIN, xread)

/* Each exists as r.NAME on a reader and as w.NAME on a writer, which is the argument before those listed. */
#define REPLAY_MOVES(X)                                           \
    X("to", "p", OP_PLAIN, to)                                    \
    X("down", "p", OP_PLAIN, down)                                \
    X("exist", "p", OP_PLAIN, exist)                              \
    X("toval", "p", OP_PLAIN, toval)                              \
    X("byte", "b", OP_PLAIN, byte)                                \
    X("first", "", OP_PLAIN, first)                               \
    X("last", "", OP_PLAIN, last)                                 \
    X("idx", "n", OP_PLAIN, idx)                                  \
    X("until", "", OP_PLAIN, until)                               \
    X("untilmax", "n", OP_PLAIN, untilmax)                        \
    X("up", "n", OP_PLAIN, up)                                    \
    X("upuntil", "", OP_PLAIN, upuntil)                           \
    X("upbranch", "", OP_PLAIN, upbranch)                         \
    X("next", "", OP_PLAIN, next)                                 \
    X("prev", "", OP_PLAIN, prev)                                 \
    X("val", "", OP_PLAIN, val)                                   \
    X("step", "", OP_PLAIN, step)                                 \
    X("pval", "", OP_PLAIN, pval)                                 \
    X("pstep", "", OP_PLAIN, pstep)                               \
    X("vals", "n", OP_PLAIN, vals)                                \
    X("pvals", "n", OP_PLAIN, pvals)                              \
    X("steps", "n", OP_PLAIN, steps)                              \
    X("psteps", "n", OP_PLAIN, psteps)                            \
    X("seek", "lp", OP_PLAIN, seek)                               \
    X("firstk", "n", OP_PLAIN, firstk)                            \
    X("nextk", "n", OP_PLAIN, nextk)                              \
    X("lastpath", "", OP_PLAIN, lastpath)                         \
    X("mask", "", OP_PLAIN, mask)                                 \
    X("valcount", "", OP_PLAIN, valcount)                         \
    X("origin", "", OP_PLAIN, origin)                             \
    X("reset", "", OP_PLAIN, reset)                               \
    X("atroot", "", OP_PLAIN, atroot)

#define REPLAY_WRITES(X)                                          \
    X("w.set", "Wn", OP_PLAIN, w_set)                             \
    X("w.del", "Wf", OP_PLAIN, w_del)                             \
    X("w.orset", "Wn", OP_PLAIN, w_orset)                         \
    X("w.graft", "WMp", OP_PLAIN, w_graft)                        \
    X("w.graftmask", "WMpBf", OP_PLAIN, w_graftmask)              \
    X("w.join", "WMp", OP_PLAIN, w_join)                          \
    X("w.meet", "WMpf", OP_PLAIN, w_meet)                         \
    X("w.sub", "WMpf", OP_PLAIN, w_sub)                           \
    X("w.meet2", "WMpMp", OP_PLAIN, w_meet2)                      \
    X("w.restrict", "WMp", OP_PLAIN, w_restrict)                  \
    X("w.restricting", "WMp", OP_PLAIN, w_restricting)            \
    X("w.jointake", "WWf", OP_DISTINCT, w_jointake)               \
    X("w.joink", "Wnf", OP_PLAIN, w_joink)                        \
    X("w.meetk", "Wnf", OP_PLAIN, w_meetk)                        \
    X("w.insprefix", "Wp", OP_PLAIN, w_insprefix)                 \
    X("w.rmprefix", "Wn", OP_PLAIN, w_rmprefix)                   \
    X("w.take", "WMf", OP_PLAIN, w_take)                          \
    X("w.rmbranches", "Wf", OP_PLAIN, w_rmbranches)               \
    X("w.rmmask", "WBf", OP_PLAIN, w_rmmask)                      \
    X("w.create", "W", OP_PLAIN, w_create)                        \
    X("w.prune", "W", OP_PLAIN, w_prune)                          \
    X("w.pruneup", "W", OP_PLAIN, w_pruneup)

#define REPLAY_DECLARE(name, spec, props, fn)                           \
    bool model_on_##fn(void *state, const replay_args *a, model_bytes *out); \
    bool library_on_##fn(void *state, const replay_args *a, model_bytes *out);
REPLAY_OPS(REPLAY_DECLARE)
REPLAY_ORDER(REPLAY_DECLARE)
REPLAY_VIEWS(REPLAY_DECLARE)
REPLAY_MIXED_OPS(REPLAY_DECLARE)
REPLAY_MOVES(REPLAY_DECLARE)
REPLAY_WRITES(REPLAY_DECLARE)

#endif
