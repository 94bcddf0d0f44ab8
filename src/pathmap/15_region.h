/* Pools over a region of memory that the caller gives: bounded, and shared between processes if the region is.

   Everything that maps allocate for their nodes lives in the region, with the pool itself and the counted byte strings
   of pm_bytes_new_in; nothing of it comes from PM_MALLOC. What a call needs only for itself, or for a cursor (paths,
   stacks, memos, zippers, heads, pm_shared), still does, and belongs to the process that made the call.

   Processes. A mapping made with MAP_SHARED before fork() has the same address in the children, so nodes, which refer
   to each other by address, mean the same to all of them. Any of them may allocate, and free what another has
   allocated; maps of one process may share nodes with maps of another. What is passed from one to another is a pm_map,
   stored somewhere in shared memory, under whatever synchronisation its program has, such as waiting for the child's
   end; the same as between threads. All that is put into such a map must be of the same region: a part joined or
   grafted from a map of another pool stays where it was.

   Killed processes. The pool has no lock. A process killed at any instruction leaves the pool usable by all others;
   what it held is lost to them: the nodes that only it could reach, and at most one block more, in the middle of a call
   (its slab then stays with its size class). A map that it was changing must not be touched any more; clones of it may.
   docs/memory.md says more. */

#include "11_memory.h"

enum { PM_REGION_MIN = 40 * 1024 }; /* a region of so many bytes has room for a map, wherever it starts */

/* Makes a pool over `bytes` bytes at `region`, which may start anywhere and hold anything. A budget below `bytes`
   leaves the rest of the region alone. The size is hard: what does not fit is PM_NOMEM, and what was there stays.
   Owns     the region is the caller's, and must stay until the last map of the pool is dropped or given up.
            pm_pool_free ends the pool; as nothing has to be given back, unmapping a region that no process uses any
            more does as well, also when a killed process has left nodes behind
   Fails    PM_NOMEM: no room for a single slab (never from PM_REGION_MIN on); PM_INVALID: NULL region or `out`, or
            more bytes than there are addresses behind `region`
   Cost     writes 0.5% of the region; the rest is touched as it is used
   Threads  the pool: any thread, of any process that has inherited the mapping; with PM_NO_THREADS one at a time
   Source   slabs whose state is one word, changed by compare-and-swap: M. Michael, "Scalable lock-free dynamic memory
            allocation", PLDI 2004; there blocks are linked, here they are bits */
PM_API PM_NODISCARD pm_status pm_pool_new_in(void *region, size_t bytes, const pm_pool_options *options,
                                             pm_pool **out);
