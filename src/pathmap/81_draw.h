/* Drawings, as text: for a terminal, for Graphviz (`dot -Tsvg`), for Mermaid. */

#include "80_inspect.h"

/* What is drawn, and as what: one of the first three, and any of the others added. */
typedef enum pm_draw_how {
    PM_DRAW_TREE = 0,      /* a line for each value, fork and end, indented below what leads to it */
    PM_DRAW_DOT = 1,       /* for Graphviz */
    PM_DRAW_MERMAID = 2,   /* for Mermaid, which many wikis and forges draw where they find it */
    PM_DRAW_NODES = 4,     /* nodes as they are stored, with their kinds; not as a tree */
    PM_DRAW_NO_VALUES = 8  /* values as a bare = */
} pm_draw_how;

/* Draws n maps in one picture. Without PM_DRAW_NODES it shows the content, runs of bytes without a value or a fork in
   one piece: equal maps are drawn alike, however they are laid out, except for what they share. What is reached more
   than once, within a map or from several, is drawn once: a tree numbers it (#1) and refers to the number then
   (-> #1), the others have several arrows to one box, in grey. Bytes are written as by pm_dump, values behind =, and !
   is a dangling location.

       pm_draw(&(const pm_map *){&m}, 1, PM_DRAW_TREE, sink, ctx):        map 0
                                                                          |-- ab=1
                                                                          |   |-- c=2
                                                                          |   `-- d=3
                                                                          `-- x=4

   Fails    as pm_dump; PM_INVALID: an unknown `how`
   Cost     O(distinct nodes and the bytes in them); of a tree also what is written, which indents by depth
   Threads  a read of each map */
PM_API PM_NODISCARD pm_status pm_draw(const pm_map *const *maps, size_t n, unsigned how, pm_sink sink, void *ctx);

/* Writes a Graphviz drawing of the nodes of n maps, to see how they share memory: pm_draw with PM_DRAW_DOT and
   PM_DRAW_NODES. Grey nodes are shared: a write copies them.
   Fails    as pm_dump
   Cost     O(distinct nodes) */
PM_API PM_NODISCARD pm_status pm_dot(const pm_map *const *maps, size_t n, pm_sink sink, void *ctx);
