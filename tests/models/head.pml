/* A model of how heads publish what writers do (src/pathmap/66_head.c), for spin. docs/proof.md says how to run
   it, what it leaves out, and which faults it must find.

   A content is a number: how many changes the path has seen. Nodes and tries are not modelled, nor are paths that lie
   below others: every reader asks for the whole map. A change goes through a state TORN, in which nobody may copy it.
   Waiting is a guard that blocks until its condition holds; that those who make it hold also wake the sleepers is the
   explorer's to show (tests/test_head_schedules.c), on the real source.

   Sizes (-D): WRITERS; LATE: writers from this one on are opened while others are at work; CHANGES: calls of each writer
   thread; READERS, FENCES: threads that ask for one snapshot each. Switches: GROUPS, JOIN (the first two writers belong
   to one thread, which also makes calls that change both), CLOSER (a thread tries to close the head all the time),
   MEMORY=n (n times there is no memory to settle what ended), BUFFERS (stores are late, as on x86).

   The fault to seed is a number, taken from the environment as the checker starts, 0 for none: */
#define CLEAN_WRITERS_GO   (fault == 1) /* a waiting fence does not stop clean writers */
#define SHARED_COPY        (fault == 2) /* one copy for all who wait, the newest */
#define NO_BARRIER         (fault == 3) /* the fence of all threads is left out */
#define OUT_BEFORE_HOOKS   (fault == 4) /* a writer's end is told before its hooks have run */
#define HELD_WRITERS_GO    (fault == 5) /* a fence does not stop those that it waits for */
#define GROUPS_END_AT_ONCE (fault == 6) /* a clean writer's end that commits a group does not wait for fences */
#define FENCE_STAYS        (fault == 7) /* a fence that has ended goes on stopping clean writers */
#define NO_COPY            (fault == 8) /* a writer goes on without leaving a copy */
#define FREED_IN_USE       (fault == 9) /* ended writers are freed while a snapshot uses them */
#define NOT_COUNTED        (fault == 10) /* a snapshot being made is not counted among the zippers */
#define FLAG_SWITCH        (fault == 11) /* no fence of all threads: a flag tells running writers to fence instead */
#define STRICT_IN_NAME     (fault == 12) /* a writer is taken to fence itself, and does not */
byte fault;

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef LATE
#define LATE WRITERS
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef FENCES
#define FENCES 0
#endif
#define SNAPS (READERS + FENCES)

#define NONE 255 /* no content: it was taken out; no group */
#define TORN 254 /* in the middle of a change, or freed */
#define BOTH 16  /* a content is changes + BOTH * changes of two writers */

/* The head; all but `in_call`, `hold` and the writers' maps is guarded by the lock. */
bit lock, head_gone;
byte base[WRITERS]; /* content in the base, by path: each writer has one */
byte out;           /* zippers, and snapshots being made */
byte fences;        /* that wait */
byte to_come = 255; /* threads that have not asked for anything yet; to close before is their mistake */

/* Writers. */
byte map[WRITERS], saved[WRITERS];  /* content in memory, and what readers see meanwhile, in a group */
byte in_call[WRITERS], hold[WRITERS];
bit clean[WRITERS], claimed[WRITERS], ended[WRITERS], freed[WRITERS], unsettled[WRITERS], used[WRITERS];
byte users[WRITERS], waiting[WRITERS], fencing[WRITERS];
byte parked[WRITERS], parkings[WRITERS]; /* of SHARED_COPY */
/* What the writer's thread itself knows. */
byte own[WRITERS], own_saved[WRITERS];
bit grouped[WRITERS], strict[WRITERS]; /* strict: fences itself; changed by the writer, under the lock, when inside */

/* Snapshots being made, with a piece for each writer. */
typedef snap {
    bit part[WRITERS], held[WRITERS], got[WRITERS], alone[WRITERS];
    byte copy[WRITERS], parkings[WRITERS];
    byte result[WRITERS], least[WRITERS];
    bit done
}
snap s[SNAPS];

/* What is so, for the assertions. */
byte truth[WRITERS];  /* the content after the last change that took effect */
short was[WRITERS];   /* a bit for each number of changes that has ever been visible */
byte changes[WRITERS], changes_of_both;
bit at_work[WRITERS]; /* opened, and its end has not begun */
byte in_hooks;        /* ends whose hooks run */
byte writers_done, no_memory;
bit portable;         /* of FLAG_SWITCH */

/* ---- stores: at once, or late, in the order of each writer ---- */

#define IN_CALL 1
#define MAP 2
#define SAVED 3

inline land(i, what, value) {
    if
    :: what == IN_CALL -> in_call[i] = value
    :: what == MAP -> map[i] = value
    :: what == SAVED -> saved[i] = value
    fi
}

#ifdef BUFFERS
chan buffer[WRITERS] = [5] of { byte, byte };
#define STORE(i, what, value) buffer[i] ! what, value
#define LANDED(i) empty(buffer[i])
inline land_all(i) {
    do
    :: nempty(buffer[i]) -> buffer[i] ? what, value; land(i, what, value)
    :: empty(buffer[i]) -> what = 0; value = 0; break
    od
}
active [WRITERS] proctype Buffer() {
    byte what, value;
    byte i;
    atomic { i = _pid; what = 0 }
end:
    do
    :: atomic { nempty(buffer[i]) -> buffer[i] ? what, value; land(i, what, value); what = 0; value = 0 }
    od
}
#else
#define STORE(i, what, value) atomic { land(i, what, value) }
#define LANDED(i) true
#endif

/* ---- writers ---- */

#define VISIBLE(i) (saved[i] == NONE -> map[i] : saved[i])
#define TAKE_LOCK(condition) atomic { lock == 0 && (condition) -> assert(!head_gone); lock = 1 }
#define GIVE_LOCK lock = 0

/* pm__writer_lock: when a change may begin, and when a writer may end. */
#define MAY_CHANGE(i) ((fencing[i] == 0 || HELD_WRITERS_GO) && !(clean[i] && fences && !CLEAN_WRITERS_GO))
#define MAY_END(i) \
    (fencing[i] == 0 && !(clean[i] && grouped[i] && fences && !CLEAN_WRITERS_GO && !GROUPS_END_AT_ONCE))

inline set_hold(i) { hold[i] = (waiting[i] -> 1 : 0) | (clean[i] -> 2 : 0) }

/* Every piece that waits receives a copy at once. */
inline park(i) {
    if
    :: waiting[i] ->
        assert(VISIBLE(i) != TORN);
        if
        :: NO_COPY
        :: SHARED_COPY -> parked[i] = VISIBLE(i); parkings[i]++
        :: else ->
            for (k : 0 .. SNAPS - 1) {
                if
                :: s[k].held[i] && !s[k].got[i] -> s[k].got[i] = 1; s[k].copy[i] = VISIBLE(i)
                :: else
                fi
            }
            k = 0
        fi;
        waiting[i] = 0
    :: else
    fi
}

/* Takes the content out of the base; without memory it stays there, and is no longer looked at. */
inline soil(i) {
    if
    :: clean[i] -> clean[i] = 0; base[i] = NONE
#ifdef MEMORY
    :: clean[i] && no_memory < MEMORY -> no_memory++; clean[i] = 0
#endif
    :: !clean[i]
    fi
}

/* Puts what is visible into the base. */
inline make_clean(i) {
    if
    :: clean[i]
    :: else -> assert(VISIBLE(i) != TORN); base[i] = VISIBLE(i); clean[i] = 1
    fi
}

/* pm__writer_wait */
inline wait_to_change(i) {
    TAKE_LOCK(MAY_CHANGE(i) && LANDED(i));
    atomic {
        assert(!freed[i]);
        park(i);
        soil(i);
        set_hold(i);
#ifdef BUFFERS
        if /* by how often it is held: any rule will do */
        :: strict[i] = 1
        :: strict[i] = 0
        fi;
#endif
        in_call[i] = 1;
        GIVE_LOCK
    }
}

/* pm__claim_try_enter, then pm__writer_wait if that fails */
inline enter(i) {
#ifdef BUFFERS
    if /* which way to fence is read before, and may be out of date when it is followed */
    :: atomic { portable || (strict[i] && !STRICT_IN_NAME) -> STORE(i, IN_CALL, 1) }; LANDED(i)
    :: atomic { !portable && !(strict[i] && !STRICT_IN_NAME) -> skip }; STORE(i, IN_CALL, 1)
    fi;
#else
    STORE(i, IN_CALL, 1);
#endif
    if
    :: hold[i] == 0
    :: hold[i] != 0 -> STORE(i, IN_CALL, 0); wait_to_change(i)
    fi
}
inline leave(i) { STORE(i, IN_CALL, 0) }

/* A change takes effect: at once, or when its group is committed. */
inline take_effect(i) {
    if
    :: !grouped[i] -> truth[i] = own[i]; was[i] = was[i] | (1 << (own[i] % BOTH))
    :: else
    fi
}

inline call(i) {
    enter(i);
    STORE(i, MAP, TORN);
    atomic { changes[i]++; own[i] = own[i] - own[i] % BOTH + changes[i]; take_effect(i) };
    STORE(i, MAP, own[i]);
    leave(i)
}

inline begin(i) {
    enter(i);
    atomic { own_saved[i] = own[i]; grouped[i] = 1 };
    STORE(i, SAVED, own_saved[i]);
    leave(i)
}
inline commit(i) {
    enter(i);
    atomic { grouped[i] = 0; take_effect(i) };
    STORE(i, SAVED, NONE);
    leave(i)
}
inline roll_back(i) {
    enter(i);
    own[i] = own_saved[i];
    STORE(i, MAP, own[i]);
    grouped[i] = 0;
    STORE(i, SAVED, NONE);
    leave(i)
}

inline free_writer(i) { assert(!freed[i]); freed[i] = 1; map[i] = TORN; parked[i] = TORN }

/* pm__claim_settle; without memory it is tried again by whoever asks for something */
inline settle(i) {
    assert(!freed[i]);
    if
#ifdef MEMORY
    :: no_memory < MEMORY -> no_memory++; unsettled[i] = 1
    :: no_memory < MEMORY -> no_memory++; make_clean(i); unsettled[i] = 1
#endif
    :: true ->
        unsettled[i] = 0;
        make_clean(i);
        claimed[i] = 0;
        if
        :: users[i] == 0 || FREED_IN_USE -> free_writer(i)
        :: else -> ended[i] = 1
        fi
    fi
}
inline settle_all(ok) {
    ok = 1;
    for (i : 0 .. WRITERS - 1) {
        if
        :: unsettled[i] -> settle(i); ok = ok && !unsettled[i]
        :: else
        fi
    }
    i = 0
}

/* pm__writer_end: the hooks run without the lock, and only then is the writer no longer counted. */
inline end_writer(i) {
    TAKE_LOCK(MAY_END(i) && LANDED(i));
    atomic {
        if
        :: grouped[i] -> soil(i); grouped[i] = 0; saved[i] = NONE; take_effect(i)
        :: else
        fi;
        park(i);
        set_hold(i);
        settle(i);
        at_work[i] = 0;
        if
        :: OUT_BEFORE_HOOKS -> out--
        :: else
        fi;
        in_hooks++;
        GIVE_LOCK
    };
    atomic { assert(!head_gone); in_hooks-- };
    if
    :: OUT_BEFORE_HOOKS
    :: else -> TAKE_LOCK(true); atomic { out--; GIVE_LOCK }
    fi
}

/* pm_head_write */
inline open_writer(i, ok) {
    TAKE_LOCK(true);
    atomic {
        bit settled = 1;
        byte q;
        for (q : 0 .. WRITERS - 1) {
            if
            :: unsettled[q] -> settle(q); settled = settled && !unsettled[q]
            :: else
            fi
        }
        q = 0;
        ok = settled;
        settled = 0;
        if
        :: ok ->
            assert(base[i] == truth[i]);
            claimed[i] = 1; used[i] = 1; clean[i] = 1; at_work[i] = 1;
            map[i] = base[i]; own[i] = map[i];
            set_hold(i);
            out++
        :: else
        fi;
        to_come--;
        GIVE_LOCK
    }
}

proctype Writer(byte w) {
    byte n, k;
    bit ok;
    if
    :: w >= LATE -> open_writer(w, ok)
    :: else -> ok = 1
    fi;
    if
    :: ok ->
        do
        :: n < CHANGES -> n++; call(w)
#ifdef GROUPS
        :: n < CHANGES && !grouped[w] -> n++; begin(w)
        :: grouped[w] -> commit(w)
        :: grouped[w] -> roll_back(w)
#endif
        :: break
        od;
        end_writer(w)
    :: else
    fi;
    writers_done++
}

#ifdef JOIN
/* One thread with two writers. What both have changed together, must be seen together (pm__wz_enter_both). */
proctype Joiner() {
    byte n, k, first = 0, other = 1;
    do
    :: n < CHANGES -> n++; call(first)
    :: n < CHANGES && n > 0 ->
        n++;
        do
        :: enter(first);
            STORE(other, IN_CALL, 1);
            if
            :: hold[other] == 0 -> break
            :: hold[other] != 0 -> STORE(other, IN_CALL, 0); leave(first); enter(other); leave(other)
            fi
        od;
        STORE(first, MAP, TORN);
        STORE(other, MAP, TORN);
        atomic {
            changes_of_both++;
            changes[0]++; own[0] = changes[0] + BOTH * changes_of_both; take_effect(0);
            changes[1]++; own[1] = changes[1] + BOTH * changes_of_both; take_effect(1)
        };
        STORE(first, MAP, own[0]);
        STORE(other, MAP, own[1]);
        leave(other);
        leave(first)
    :: n == CHANGES -> break
    od;
    end_writer(first);
    end_writer(other);
    writers_done = writers_done + 2
}
#endif

/* ---- snapshots ---- */

#define QUIET(i) (clean[i] || in_call[i] == 0)
#define GIVEN(x, i) (SHARED_COPY -> parkings[i] != s[x].parkings[i] : s[x].got[i])
#define COPY(x, i) (SHARED_COPY -> parked[i] : s[x].copy[i])

/* pm__piece_hold */
inline hold_writer(x, i, fence) {
    s[x].held[i] = 1;
    s[x].parkings[i] = parkings[i];
    users[i]++;
    waiting[i]++;
    fencing[i] = fencing[i] + fence;
    hold[i] = 1 | (clean[i] -> 2 : 0)
}

/* pm__piece_let_go */
inline let_go(x, i, fence) {
    s[x].held[i] = 0;
    fencing[i] = fencing[i] - fence;
    if
    :: !GIVEN(x, i) && waiting[i] > 0 -> waiting[i]--
    :: else -> assert(GIVEN(x, i) || NO_COPY)
    fi;
    set_hold(i)
}

#if WRITERS == 1
#define EACH(what, x) (what(x, 0))
#define SOME(what, x) (what(x, 0))
#elif WRITERS == 2
#define EACH(what, x) (what(x, 0) && what(x, 1))
#define SOME(what, x) (what(x, 0) || what(x, 1))
#else
#define EACH(what, x) (what(x, 0) && what(x, 1) && what(x, 2))
#define SOME(what, x) (what(x, 0) || what(x, 1) || what(x, 2))
#endif

/* pm__fence_all, if any of the writers held does not fence itself */
#define FENCES_ITSELF(x, i) (!s[x].part[i] || strict[i])
inline barrier() {
#ifdef BUFFERS
    if
    :: NO_BARRIER
    :: EACH(FENCES_ITSELF, x) && !NO_BARRIER && !FLAG_SWITCH
    :: FLAG_SWITCH -> portable = 1
    :: else ->
        atomic {
            for (i : 0 .. WRITERS - 1) { land_all(i) }
            i = 0
        }
    fi
#else
    skip
#endif
}

/* Whether a maker that waits may go on. */
#define READY(x, i) (!s[x].held[i] || GIVEN(x, i) || QUIET(i))
#define CAN_TAKE(x, i) (s[x].held[i] && (GIVEN(x, i) || QUIET(i)))
#define STILL(x, i) (!s[x].part[i] || QUIET(i))

/* pm__snap_make, pm__snap_free and the end of the reader */
proctype Maker(byte x; bit fence) {
    byte i, left;
    bit ok;
#ifdef BUFFERS
    byte what, value;
#endif
    /* What has happened by now must be seen. */
    atomic {
        for (i : 0 .. WRITERS - 1) { s[x].least[i] = truth[i] % BOTH }
        i = 0
    };
    TAKE_LOCK(true);
    atomic {
        settle_all(ok);
        if
        :: ok ->
            for (i : 0 .. WRITERS - 1) { s[x].part[i] = claimed[i] && !clean[i] }
            i = 0;
            fences = fences + fence;
            if
            :: NOT_COUNTED
            :: else -> out++
            fi
        :: else
        fi;
        to_come--
    };
    if
    :: !ok -> GIVE_LOCK; goto done
    :: else
    fi;
    do
    :: atomic {
        i < WRITERS ->
            if
            :: s[x].part[i] -> hold_writer(x, i, fence)
            :: else
            fi;
            i++
    }
    :: atomic { i >= WRITERS -> i = 0; break }
    od;
    barrier();
    /* A fence waits until all are outside of changes at one time; none of them can begin one. */
    do
    :: fence ->
        left = 0;
        do
        :: atomic { i < WRITERS -> left = left + !STILL(x, i); i++ }
        :: atomic { i >= WRITERS -> i = 0; break }
        od;
        if
        :: left == 0 -> break
        :: else -> left = 0; GIVE_LOCK; TAKE_LOCK(EACH(STILL, x))
        fi
    :: else -> break
    od;
    /* Those that are outside are made clean. */
    do
    :: atomic {
        i < WRITERS ->
            if
            :: s[x].part[i] && (fence || QUIET(i)) -> assert(!freed[i]); make_clean(i); let_go(x, i, fence)
            :: else
            fi;
            i++
    }
    :: atomic { i >= WRITERS -> i = 0; break }
    od;
    atomic {
        for (i : 0 .. WRITERS - 1) {
            s[x].result[i] = base[i];
            assert(!fence || s[x].result[i] == truth[i]) /* an instant of all */
        }
        i = 0;
        fences = fences - (fence && !FENCE_STAYS)
    };
    /* The others leave a copy, or come out of their changes. */
    do
    :: left = 0;
        do
        :: atomic {
            i < WRITERS ->
                if
                :: CAN_TAKE(x, i) ->
                    assert(!freed[i]);
                    s[x].copy[i] = (GIVEN(x, i) -> COPY(x, i) : VISIBLE(i));
                    assert(s[x].copy[i] != TORN);
                    s[x].alone[i] = 1;
                    let_go(x, i, 0)
                :: s[x].held[i] && !CAN_TAKE(x, i) -> left++
                :: else
                fi;
                i++
        }
        :: atomic { i >= WRITERS -> i = 0; break }
        od;
        if
        :: left == 0 -> break
        :: else -> left = 0; GIVE_LOCK; TAKE_LOCK(SOME(CAN_TAKE, x))
        fi
    od;
    GIVE_LOCK;
    /* The snapshot is complete: all there, nothing torn, nothing older than what had happened, nothing that never was. */
    atomic {
        for (i : 0 .. WRITERS - 1) {
            if
            :: s[x].alone[i] -> s[x].result[i] = s[x].copy[i]
            :: else
            fi;
            assert(s[x].result[i] != NONE && s[x].result[i] != TORN);
            assert(s[x].result[i] % BOTH >= s[x].least[i]);
            assert(was[i] & (1 << (s[x].result[i] % BOTH)))
        }
        i = 0;
#ifdef JOIN
        assert(s[x].result[0] / BOTH == s[x].result[1] / BOTH)
#endif
    };
    TAKE_LOCK(true);
    atomic {
        for (i : 0 .. WRITERS - 1) {
            if
            :: s[x].part[i] ->
                users[i]--;
                if
                :: users[i] == 0 && ended[i] -> free_writer(i)
                :: else
                fi
            :: else
            fi;
            s[x].part[i] = 0; s[x].alone[i] = 0; s[x].got[i] = 0; s[x].copy[i] = 0; s[x].parkings[i] = 0;
            s[x].result[i] = 0; s[x].least[i] = 0
        }
        i = 0;
        GIVE_LOCK
    };
    /* the reader ends */
    if
    :: NOT_COUNTED
    :: else -> TAKE_LOCK(true); atomic { assert(out > 0); out--; GIVE_LOCK }
    fi;
done:
    s[x].done = 1
}

/* ---- the end ---- */

#ifdef CLOSER
/* Tries to close whenever nobody is about to ask for something. */
active proctype Closer() {
    byte i;
    bit ok;
    do
    :: atomic { lock == 0 && to_come == 0 && out == 0 -> lock = 1 };
        atomic {
            settle_all(ok);
            assert(in_hooks == 0);
            for (i : 0 .. WRITERS - 1) { assert(!at_work[i]) }
            i = 0;
            if
            :: ok ->
                head_gone = 1;
                for (i : 0 .. WRITERS - 1) { assert(base[i] == truth[i] && (!used[i] || freed[i])) }
                i = 0
            :: else
            fi;
            GIVE_LOCK
        };
        if
        :: head_gone -> break
        :: else
        fi
    od
}
#endif

init {
    byte i;
    bit ok;
    c_code { now.fault = getenv("FAULT") ? atoi(getenv("FAULT")) : 0; };
    atomic {
        to_come = SNAPS + WRITERS - LATE;
        for (i : 0 .. WRITERS - 1) {
            was[i] = 1;
            saved[i] = NONE;
            if
            :: i < LATE -> claimed[i] = 1; used[i] = 1; at_work[i] = 1; clean[i] = 1; hold[i] = 2; out++
#ifdef GROUPS
            /* in a group since before the last snapshot */
            :: i < LATE -> claimed[i] = 1; used[i] = 1; at_work[i] = 1; clean[i] = 1; hold[i] = 2; out++;
                saved[i] = 0; grouped[i] = 1
#endif
            :: i >= LATE
            fi
        }
        i = 0;
#ifdef JOIN
        run Joiner();
        i = 2;
#endif
        do
        :: i < WRITERS -> run Writer(i); i++
        :: else -> i = 0; break
        od;
        do
        :: i < SNAPS -> run Maker(i, i >= READERS); i++
        :: else -> i = 0; break
        od
    }
#ifndef CLOSER
    /* All have ended: nothing is lost, nothing is left. */
    atomic {
        writers_done == WRITERS;
        do
        :: i < SNAPS -> s[i].done; i++
        :: else -> i = 0; break
        od;
        no_memory = 200;
        settle_all(ok);
        assert(ok && out == 0 && fences == 0);
        for (i : 0 .. WRITERS - 1) {
            assert(base[i] == truth[i] && (!used[i] || freed[i]));
            assert(waiting[i] == 0 && fencing[i] == 0 && users[i] == 0)
        }
    }
#endif
}
