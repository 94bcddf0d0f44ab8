/* Where in a node a location lies: what zippers and trie references keep. Its fields are private. */

#include "01_config.h"

typedef struct pm_place {
    uint64_t node;  /* reference of the node, 0: no branch below */
    uint16_t depth; /* bytes of path matched inside the node */
    uint8_t lo, hi; /* line nodes: the entries that agree with the path; byte nodes: the byte */
    uint16_t since; /* in a zipper's line node: from this depth down to `depth` these same entries do */
    uint8_t part;   /* from 1 on: which part of a range node the node is, if the way here tells */
} pm_place;
