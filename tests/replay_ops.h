/* The operations of the script, one row each: name, arguments, properties, function, and which engines have it.

   Arguments: M map (not busy), p path, n number or value, f flag, b byte, B bytes, a value algebra,
   R open reader, r reader to be opened, W open writer, w writer to be opened, T open transaction, t one to be opened.
   The function of row `x` is model_on_x in replay_model.c, and library_on_x in replay_library.c unless the row says
   MODEL: such an operation is unknown whenever the library takes part. To give the library an operation, write
   library_on_x and change MODEL to BOTH. */
#ifndef REPLAY_OPS_H
#define REPLAY_OPS_H

enum {
    OP_PLAIN = 0,
    OP_CLOSES = 1,      /* the register named is free afterwards */
    OP_TXN_MAP = 2,     /* refused while the transaction's map is busy */
    OP_HEAD = 4,        /* needs a head */
    OP_HEAD_OPENS = 8,  /* makes one */
    OP_HEAD_CLOSES = 16,
    OP_DISTINCT = 32    /* its two writers must differ */
};

#define REPLAY_OPS(X)                                             \
    X("mode", "a", OP_PLAIN, mode, BOTH)                          \
    X("set", "Mpn", OP_PLAIN, set, BOTH)                          \
    X("get", "Mp", OP_PLAIN, get, BOTH)                           \
    X("del", "Mpf", OP_PLAIN, del, BOTH)                          \
    X("has", "Mp", OP_PLAIN, has, BOTH)                           \
    X("create", "Mp", OP_PLAIN, create, BOTH)                     \
    X("prune", "Mp", OP_PLAIN, prune, BOTH)                       \
    X("rmbranches", "Mpf", OP_PLAIN, rmbranches, BOTH)            \
    X("count", "M", OP_PLAIN, count, BOTH)                        \
    X("locs", "M", OP_PLAIN, locs, BOTH)                          \
    X("clone", "MM", OP_PLAIN, clone, BOTH)                       \
    X("drop", "M", OP_PLAIN, drop, BOTH)                          \
    X("list", "M", OP_PLAIN, list, BOTH)                          \
    X("hash", "M", OP_PLAIN, hash, BOTH)                          \
    X("eq", "MM", OP_PLAIN, eq, BOTH)                             \
    X("join", "MMM", OP_PLAIN, join, BOTH)                        \
    X("meet", "MMM", OP_PLAIN, meet, BOTH)                        \
    X("sub", "MMM", OP_PLAIN, sub, BOTH)                          \
    X("restrict", "MMM", OP_PLAIN, restrict, BOTH)                \
    X("sub1", "MMp", OP_PLAIN, sub1, BOTH)                        \
    X("kcount", "Mn", OP_PLAIN, kcount, BOTH)                     \
    X("fold", "M", OP_PLAIN, fold, BOTH)                          \
    X("check", "M", OP_PLAIN, check, BOTH)                        \
    X("ropen", "rMp", OP_PLAIN, ropen, BOTH)                      \
    X("rclose", "R", OP_CLOSES, rclose, BOTH)                     \
    X("rfork", "Rr", OP_PLAIN, rfork, BOTH)                       \
    X("wopen", "wMp", OP_PLAIN, wopen, BOTH)                      \
    X("wclose", "W", OP_CLOSES, wclose, BOTH)                     \
    X("tbegin", "tM", OP_PLAIN, tbegin, BOTH)                     \
    X("tcommit", "T", OP_CLOSES, tcommit, BOTH)                   \
    X("troll", "T", OP_CLOSES | OP_TXN_MAP, troll, BOTH)          \
    X("hopen", "M", OP_HEAD_OPENS, hopen, BOTH)                  \
    X("hread", "rp", OP_HEAD, hread, BOTH)                       \
    X("hpin", "rp", OP_HEAD, hpin, BOTH)                         \
    X("hwrite", "wp", OP_HEAD, hwrite, BOTH)                     \
    X("hclose", "", OP_HEAD | OP_HEAD_CLOSES, hclose, BOTH)

/* Each exists as r.NAME on a reader and as w.NAME on a writer, which is the argument before those listed. */
#define REPLAY_MOVES(X)                                           \
    X("to", "p", OP_PLAIN, to, BOTH)                              \
    X("down", "p", OP_PLAIN, down, BOTH)                          \
    X("exist", "p", OP_PLAIN, exist, BOTH)                        \
    X("toval", "p", OP_PLAIN, toval, BOTH)                        \
    X("byte", "b", OP_PLAIN, byte, BOTH)                          \
    X("first", "", OP_PLAIN, first, BOTH)                         \
    X("last", "", OP_PLAIN, last, BOTH)                           \
    X("idx", "n", OP_PLAIN, idx, BOTH)                            \
    X("until", "", OP_PLAIN, until, BOTH)                         \
    X("untilmax", "n", OP_PLAIN, untilmax, BOTH)                  \
    X("up", "n", OP_PLAIN, up, BOTH)                              \
    X("upuntil", "", OP_PLAIN, upuntil, BOTH)                     \
    X("upbranch", "", OP_PLAIN, upbranch, BOTH)                   \
    X("next", "", OP_PLAIN, next, BOTH)                           \
    X("prev", "", OP_PLAIN, prev, BOTH)                           \
    X("val", "", OP_PLAIN, val, BOTH)                             \
    X("step", "", OP_PLAIN, step, BOTH)                           \
    X("firstk", "n", OP_PLAIN, firstk, BOTH)                      \
    X("nextk", "n", OP_PLAIN, nextk, BOTH)                        \
    X("lastpath", "", OP_PLAIN, lastpath, BOTH)                   \
    X("mask", "", OP_PLAIN, mask, BOTH)                           \
    X("valcount", "", OP_PLAIN, valcount, BOTH)                   \
    X("origin", "", OP_PLAIN, origin, BOTH)                       \
    X("reset", "", OP_PLAIN, reset, BOTH)                         \
    X("atroot", "", OP_PLAIN, atroot, BOTH)

#define REPLAY_WRITES(X)                                          \
    X("w.set", "Wn", OP_PLAIN, w_set, BOTH)                       \
    X("w.del", "Wf", OP_PLAIN, w_del, BOTH)                       \
    X("w.orset", "Wn", OP_PLAIN, w_orset, BOTH)                   \
    X("w.graft", "WMp", OP_PLAIN, w_graft, BOTH)                  \
    X("w.graftmask", "WMpBf", OP_PLAIN, w_graftmask, BOTH)        \
    X("w.join", "WMp", OP_PLAIN, w_join, BOTH)                    \
    X("w.meet", "WMpf", OP_PLAIN, w_meet, BOTH)                   \
    X("w.sub", "WMpf", OP_PLAIN, w_sub, BOTH)                     \
    X("w.meet2", "WMpMp", OP_PLAIN, w_meet2, BOTH)                \
    X("w.restrict", "WMp", OP_PLAIN, w_restrict, BOTH)            \
    X("w.restricting", "WMp", OP_PLAIN, w_restricting, BOTH)      \
    X("w.jointake", "WWf", OP_DISTINCT, w_jointake, BOTH)         \
    X("w.joink", "Wnf", OP_PLAIN, w_joink, BOTH)                  \
    X("w.meetk", "Wnf", OP_PLAIN, w_meetk, BOTH)                  \
    X("w.insprefix", "Wp", OP_PLAIN, w_insprefix, BOTH)           \
    X("w.rmprefix", "Wn", OP_PLAIN, w_rmprefix, BOTH)             \
    X("w.take", "WMf", OP_PLAIN, w_take, BOTH)                    \
    X("w.rmbranches", "Wf", OP_PLAIN, w_rmbranches, BOTH)         \
    X("w.rmmask", "WBf", OP_PLAIN, w_rmmask, BOTH)                \
    X("w.create", "W", OP_PLAIN, w_create, BOTH)                  \
    X("w.prune", "W", OP_PLAIN, w_prune, BOTH)                    \
    X("w.pruneup", "W", OP_PLAIN, w_pruneup, BOTH)

#define REPLAY_DECLARE(name, spec, props, fn, where)                           \
    bool model_on_##fn(void *state, const replay_args *a, model_bytes *out); \
    bool library_on_##fn(void *state, const replay_args *a, model_bytes *out);
REPLAY_OPS(REPLAY_DECLARE)
REPLAY_MOVES(REPLAY_DECLARE)
REPLAY_WRITES(REPLAY_DECLARE)

#endif
