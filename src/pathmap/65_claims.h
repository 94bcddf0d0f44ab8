/* The report of a conflict between zippers of a head (66_head.h).

   It is a map under pm_ops_bits(), from the paths of the zippers that are in the way, below the head's root, to what
   these are: PM_CLAIM_WRITER, PM_CLAIM_PINNED, or both bits where unchecked claims overlap. */

#include "40_map.h"

enum { PM_CLAIM_WRITER = 1, PM_CLAIM_PINNED = 2 };
