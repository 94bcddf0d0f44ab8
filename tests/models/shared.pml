/* A model of maps replaced under readers (src/pathmap/67_shared.c), for spin. docs/proof.md says how to run it, what it
   leaves out, and which faults it must find.

   A map is the number of a version; references to it are counted. The head of 67_shared.c says how the count of loads
   and the balance of a slot decide when a version is given up.

   Sizes (-D): LOADERS, REFRESHERS, STORERS (every other one swaps what it has loaded), UPDATERS: threads; CALLS of each; SPILL: the
   count from which loads move a part of it to the balance.

   The fault to seed is a number, taken from the environment as the checker starts, 0 for none: */
#define SLOT_GIVEN_UP_FIRST (fault == 1) /* before its map was taken out */
#define LOAD_COUNTED_LATE   (fault == 2) /* after the slot was looked up, not with it */
#define SPILL_IN_TWO_STEPS  (fault == 3) /* what is taken from the word is added to the balance only afterwards */
#define NO_TURNS            (fault == 4) /* who stores does not wait for its turn */
#define TICKET_IN_TWO_STEPS (fault == 5)
#define UPDATES_OUT_OF_TURN (fault == 6) /* an update takes its turn only after its function */
#define NOT_RETIRED         (fault == 7) /* a replaced version's balance is not settled */
#define TOLD_LATE           (fault == 8) /* a version's number is told after it has come */
byte fault;

#ifndef LOADERS
#define LOADERS 1
#endif
#ifndef REFRESHERS
#define REFRESHERS 0
#endif
#ifndef STORERS
#define STORERS 1
#endif
#ifndef UPDATERS
#define UPDATERS 0
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef SPILL
#define SPILL 100
#endif
#define SLOTS 6
#define START 60 /* more than all loads of a run together */

byte word_slot, word_count; /* one word: always changed together */
byte balance[SLOTS], version[SLOTS];
bit taken[SLOTS];
byte latest; /* the number of the newest version; here a version is its number */
byte next, serving; /* writers' tickets */

/* What is so, for the assertions. */
byte references[16];
bit dead[16];
byte versions; /* made so far */
byte present;  /* the version that the word stands for */
byte done;

inline drop(v) {
    assert(references[v] > 0 && !dead[v]);
    references[v]--;
    if
    :: references[v] == 0 -> dead[v] = 1
    :: else
    fi
}

/* pm__version_add: who brings the balance to zero drops the map and gives up the slot. */
inline add(slot, delta) {
    atomic { balance[slot] = balance[slot] + (delta); assert(balance[slot] < 200); zero = (balance[slot] == 0) };
    if
    :: zero && SLOT_GIVEN_UP_FIRST -> taken[slot] = 0; map = version[slot]; atomic { drop(map) }
    :: zero && !SLOT_GIVEN_UP_FIRST -> map = version[slot]; taken[slot] = 0; atomic { drop(map) }
    :: else
    fi;
    map = 0
}

/* pm__shared_spill */
inline spill(slot) {
    if
    :: !SPILL_IN_TWO_STEPS -> add(slot, SPILL / 2); assert(!zero)
    :: else
    fi;
    if
    :: atomic { word_slot == slot && word_count >= SPILL / 2 -> word_count = word_count - SPILL / 2 };
        if
        :: SPILL_IN_TWO_STEPS -> add(slot, SPILL / 2)
        :: else
        fi
    :: atomic { !(word_slot == slot && word_count >= SPILL / 2) -> skip };
        if
        :: !SPILL_IN_TWO_STEPS -> add(slot, -(SPILL / 2)); assert(!zero)
        :: else
        fi
    fi
}

/* pm_shared_load: `seen` is what it has loaded */
inline load(seen) {
    if
    :: !LOAD_COUNTED_LATE -> atomic { slot = word_slot; count = word_count; word_count++; was = present }
    :: else -> atomic { slot = word_slot; count = word_count; was = present }; word_count++
    fi;
    atomic {
        seen = version[slot];
        assert(seen != 0 && !dead[seen] && references[seen] > 0);
        assert(seen == was); /* what was present when the word was read */
        references[seen]++
    };
    if
    :: count >= SPILL -> spill(slot)
    :: else
    fi;
    add(slot, -1);
    slot = 0; count = 0; was = 0
}

/* pm__shared_begin, pm__shared_end; `ticket` is the caller's */
inline begin_turn() {
    if
    :: !TICKET_IN_TWO_STEPS -> atomic { ticket = next; next++ }
    :: else -> ticket = next; next = ticket + 1
    fi;
    (serving == ticket || NO_TURNS);
    ticket = 0
}
inline end_turn() { serving++ }

/* pm__shared_put: what is replaced goes to old and count */
inline put() {
    do
    :: taken[slot] -> slot++; assert(slot < SLOTS)
    :: !taken[slot] -> break
    od;
    atomic { versions++; fresh = versions; references[fresh] = 1; version[slot] = fresh };
    balance[slot] = START;
    taken[slot] = 1;
    if
    :: TOLD_LATE
    :: else -> latest = fresh
    fi;
    atomic {
        assert(seen == 0 || present == seen); /* what a swap or an update has seen is what it replaces */
        old = word_slot; count = word_count;
        word_slot = slot; word_count = 0;
        present = fresh
    };
    if
    :: TOLD_LATE -> latest = fresh
    :: else
    fi;
    slot = 0; fresh = 0
}

/* pm__shared_retire */
inline retire() {
    if
    :: NOT_RETIRED
    :: else -> add(old, count - START)
    fi;
    old = 0; count = 0
}

proctype Loader() {
    byte n, slot, count, was, seen, map;
    bit zero;
    do
    :: n < CALLS -> n++; load(seen); atomic { drop(seen); seen = 0 }
    :: else -> break
    od;
    done++
}

/* pm_shared_refresh: what it has afterwards is no older than what was present when it was called */
proctype Refresher() {
    byte n, slot, count, was, seen, mine, map, least;
    bit zero;
    do
    :: n < CALLS ->
        n++;
        atomic { least = present };
        if
        :: latest == mine
        :: else ->
            load(seen);
            atomic {
                if
                :: mine != 0 -> drop(mine)
                :: else
                fi;
                mine = seen; seen = 0
            }
        fi;
        assert(mine >= least);
        least = 0
    :: else -> break
    od;
    if
    :: mine != 0 -> atomic { drop(mine); mine = 0 }
    :: else
    fi;
    done++
}

/* pm_shared_store; or pm_shared_compare_and_swap of what it has loaded */
proctype Storer(bit swaps) {
    byte n, slot, count, was, seen, map, old, fresh, ticket;
    bit zero, same;
    do
    :: n < CALLS ->
        n++;
        if
        :: swaps -> load(seen)
        :: else
        fi;
        begin_turn();
        same = (!swaps || version[word_slot] == seen);
        if
        :: same -> put()
        :: else
        fi;
        end_turn();
        if
        :: same -> retire()
        :: else
        fi;
        if
        :: swaps -> atomic { drop(seen); seen = 0 }
        :: else
        fi;
        same = 0
    :: else -> break
    od;
    done++
}

/* pm_shared_update: reads the present version without loading it, which nobody else can take out of the word in its
   turn; its function runs once, and takes its time. */
proctype Updater() {
    byte n, slot, count, was, seen, map, old, fresh, ticket;
    bit zero;
    do
    :: n < CALLS ->
        n++;
        if
        :: UPDATES_OUT_OF_TURN
        :: else -> begin_turn()
        fi;
        slot = word_slot;
        atomic {
            seen = version[slot];
            assert(seen != 0 && !dead[seen] && references[seen] > 0 && seen == present);
            references[seen]++
        };
        slot = 0;
        if
        :: UPDATES_OUT_OF_TURN -> begin_turn()
        :: else
        fi;
        put();
        end_turn();
        retire();
        atomic { drop(seen); seen = 0 }
    :: else -> break
    od;
    done++
}

init {
    byte i, map;
    bit zero;
    c_code { now.fault = getenv("FAULT") ? atoi(getenv("FAULT")) : 0; };
    atomic {
        versions = 1;
        balance[0] = START; taken[0] = 1; version[0] = 1; references[1] = 1; present = 1; latest = 1;
        do
        :: i < LOADERS -> run Loader(); i++
        :: else -> i = 0; break
        od;
        do
        :: i < REFRESHERS -> run Refresher(); i++
        :: else -> i = 0; break
        od;
        do
        :: i < STORERS -> run Storer(i & 1); i++
        :: else -> i = 0; break
        od;
        do
        :: i < UPDATERS -> run Updater(); i++
        :: else -> i = 0; break
        od
    };
    /* pm_shared_free: all versions are given up, once each, and all slots. */
    atomic { done == LOADERS + REFRESHERS + STORERS + UPDATERS; i = word_count };
    add(word_slot, i - START);
    atomic {
        for (i : 1 .. versions) { assert(dead[i] && references[i] == 0) }
        for (i : 0 .. SLOTS - 1) { assert(!taken[i]) }
    }
}
