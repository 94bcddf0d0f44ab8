/* Runs a few threads of a scenario under all schedules. The library is the same source as ever, compiled against
   atomics that give way: before each of them the explorer decides who runs next, and it goes through all decisions, or
   through all with few preemptions where there are too many. Threads are contexts of one real thread, so a schedule can
   be repeated exactly.

   Beside what a scenario itself looks at, the memory orders are checked. Every thread has a vector clock, which atomics
   hand on as their orders say; two accesses to a marked cell that no clock orders are a race, even though the run
   itself was sequential. And a store may be late: it waits in its thread's queue, where only that thread sees it, until
   the thread does something sequentially consistent or a read-modify-write, until a fence of all threads, or until
   nobody else can go on. That is what x86 does; that a load sees something older still, as on weaker machines, is not
   played through: there the clocks must do.

   Threads that wait in the kernel sleep until they are woken, never for no reason. So a wake-up that is lost is found:
   at its end all who are left sleep for ever. A wait with a limit ends when others have moved on, or nobody can.

   Seeded bugs are changes to single kinds of operations on single words: an order weakened, an operation torn in two
   or left out. One that no schedule finds shows that a scenario looks at too little.

   Include after check.h and before pathmap.h, with _DEFAULT_SOURCE defined. The pool is to be off (PM_POOL 0): its
   heaps belong to real threads, of which there is one. */
#ifndef EXPLORER_H
#define EXPLORER_H

#define PM_SEES_THREADS 0 /* the C library knows of one */

#include <emmintrin.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <ucontext.h>
#include <unistd.h>

/* getcontext returns once here: what the compiler fears, a second return with registers gone, does not happen. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

enum { THREADS = 3, SETUP = THREADS, CLOCKS = THREADS + 1, STACK = 256 * 1024, STEPS_MAX = 4000, FAIR_FROM = 400,
       WORDS = 1024, QUEUE = 64 };

typedef struct clocks {
    uint32_t c[CLOCKS];
} clocks;

typedef struct cell { /* memory that atomics must guard */
    clocks writes, reads;
    bool gone;
} cell;

typedef struct late_store {
    volatile void *word;
    size_t size;
    uint64_t value;
    clocks released;
} late_store;

static struct {
    bool running;
    int self, threads; /* self: SETUP outside of threads */
    ucontext_t context[THREADS]; /* where threads begin */
    bool begun[THREADS];
    void *back[5], *at[THREADS][5]; /* where all go on: such a switch makes no system call, as those of contexts do */
    char *stack[THREADS];
    void (*body[THREADS])(void);
    bool done[THREADS], resting[THREADS]; /* resting: has asked for others to go on */
    const volatile void *asleep[THREADS]; /* at which word, until somebody wakes it */
    clocks now[CLOCKS], seen[CLOCKS];     /* seen: by relaxed loads, until a fence */
    struct {
        const volatile void *word;
        clocks released;
    } words[WORDS];
    late_store queue[THREADS][QUEUE];
    int queued[THREADS];
    /* Decisions, kept from run to run. */
    unsigned char picked[STEPS_MAX], options[STEPS_MAX];
    int steps, preemptions, preemptions_most, late, late_most, last; /* last: who ran */
    bool failed;
    const char *why;
} explorer;

/* ---- seeded bugs ---- */

typedef enum deed { LOAD = 1, STORE = 2, ADD = 4, SUB = 8, CAS = 16, EXCHANGE = 32, FENCE = 64, FENCE_ALL = 128,
    WAKE = 256 } deed;

/* What a word is for; a scenario tells the ones it knows. */
typedef enum word_kind { ANY_WORD, OF_NO_INTEREST, COUNT, LOCK, VERSION, BALANCE, USED, LATEST, HOLD, IN_CALL,
    BELL } word_kind;

typedef enum effect {
    AS_IT_IS,
    RELAXED,   /* the order is */
    NOT_LAST,  /* a sequentially consistent store is a release only */
    TORN,      /* a read-modify-write is a load and a store */
    LEFT_OUT,  /* is not done: loads read 0, swaps say that they have swapped */
    READS_ONE, /* loads do */
    LIMIT_LOW  /* a count is parked at its very limit */
} effect;

typedef struct bug {
    const char *name;
    word_kind on;
    int deeds;
    effect effect;
} bug;

static const bug *seeded;
static void (*watch)(deed d, const volatile void *word, uint64_t value); /* told of what threads do; may be NULL */
static struct {
    const volatile void *word;
    word_kind kind;
} word_kinds[64];
static unsigned word_kinds_n;

CHECK__UNUSED static void know(const volatile void *word, word_kind kind) {
    word_kinds[word_kinds_n].word = word;
    word_kinds[word_kinds_n++].kind = kind;
}

static word_kind kind_of(const volatile void *word) {
    for (unsigned i = 0; i < word_kinds_n; i++)
        if (word_kinds[i].word == word) return word_kinds[i].kind;
    return ANY_WORD;
}

static effect effect_on(deed d, const volatile void *word) {
    if (!seeded || !(seeded->deeds & (int)d) || !explorer.running || explorer.self == SETUP) return AS_IT_IS;
    return seeded->on == ANY_WORD || seeded->on == kind_of(word) ? seeded->effect : AS_IT_IS;
}

/* ---- clocks, decisions ---- */

static void fail(const char *why) {
    if (!explorer.failed) explorer.why = why;
    explorer.failed = true;
}

static void join_clocks(clocks *a, const clocks *b) {
    for (int i = 0; i < CLOCKS; i++)
        if (a->c[i] < b->c[i]) a->c[i] = b->c[i];
}

static clocks *released(const volatile void *word) {
    size_t i = ((uintptr_t)word >> 2) * 0x9E3779B1u % WORDS, tries = 0;
    while (explorer.words[i].word && explorer.words[i].word != word && tries++ < WORDS) i = (i + 1) % WORDS;
    explorer.words[i].word = word;
    return &explorer.words[i].released;
}

static bool in_thread(void) { return explorer.running && explorer.self != SETUP; }

/* Of functions that are left and entered again by jumps: what their callers keep in registers is lost. */
#if defined(__GNUC__) && !defined(__clang__)
#define JUMPS __attribute__((noipa))
#else
#define JUMPS __attribute__((noinline))
#endif

static JUMPS void jump(void **to) { __builtin_longjmp(to, 1); }

/* Gives way: the decision who goes on is the explorer's. */
static JUMPS void give_way(void) {
    if (!in_thread()) return;
    if (__builtin_setjmp(explorer.at[explorer.self]) == 0) jump(explorer.back);
}

CHECK__UNUSED static void give_way_at(const volatile void *word) {
    if (in_thread() && kind_of(word) != OF_NO_INTEREST) give_way();
}

/* One of n, all of which will be tried. */
static int decide(int n) {
    if (explorer.steps >= STEPS_MAX) {
        fail("too many steps");
        return 0;
    }
    unsigned char *pick = &explorer.picked[explorer.steps], *options = &explorer.options[explorer.steps];
    explorer.steps++;
    *options = (unsigned char)n;
    if (*pick >= *options) *pick = 0;
    return *pick;
}

static bool acquires(memory_order o) { return o != memory_order_relaxed && o != memory_order_release; }
static bool releases(memory_order o) { return o != memory_order_relaxed && o != memory_order_acquire; }

/* ---- late stores ---- */

static void land(const late_store *l) {
    if (l->size == 4) atomic_store((volatile _Atomic(uint32_t) *)l->word, (uint32_t)l->value);
    else atomic_store((volatile _Atomic(uint64_t) *)l->word, l->value);
    *released(l->word) = l->released;
}

/* What memory holds, without a decision. */
CHECK__UNUSED static uint32_t peek(const volatile void *word) {
    return atomic_load((const volatile _Atomic(uint32_t) *)word);
}

/* Everybody sees what a thread has stored. */
static void drain(int who) {
    if (who == SETUP) return;
    for (int i = 0; i < explorer.queued[who]; i++) land(&explorer.queue[who][i]);
    explorer.queued[who] = 0;
}

static void drain_all(void) {
    for (int i = 0; i < THREADS; i++) drain(i);
}

/* Whether a store is to be late. Stores of one thread are seen in their order. */
static bool is_late(const volatile void *word, memory_order o) {
    if (!in_thread()) return false;
    if (o == memory_order_seq_cst || explorer.queued[explorer.self] == QUEUE) {
        drain(explorer.self);
        return false;
    }
    if (explorer.queued[explorer.self]) return true;
    word_kind kind = kind_of(word);
    bool may = explorer.late < explorer.late_most && explorer.steps < FAIR_FROM && (kind == HOLD || kind == IN_CALL);
    if (!may || decide(2) == 0) return false;
    explorer.late++;
    return true;
}

static const late_store *find_late(const volatile void *word) {
    for (int i = explorer.self == SETUP ? 0 : explorer.queued[explorer.self]; i > 0; i--)
        if (explorer.queue[explorer.self][i - 1].word == word) return &explorer.queue[explorer.self][i - 1];
    return NULL;
}

/* ---- what atomics do to the clocks ---- */

static effect on_load(const volatile void *word, memory_order o) {
    effect e = effect_on(LOAD, word);
    if (e == RELAXED) o = memory_order_relaxed;
    if (!find_late(word))
        join_clocks(acquires(o) ? &explorer.now[explorer.self] : &explorer.seen[explorer.self], released(word));
    return e;
}

static void on_store(volatile void *word, size_t size, uint64_t value, memory_order o) {
    static const clocks nothing;
    effect e = effect_on(STORE, word);
    if (watch && in_thread()) watch(STORE, word, value);
    if (e == LEFT_OUT) return;
    if (e == RELAXED) o = memory_order_relaxed;
    if (e == NOT_LAST && o == memory_order_seq_cst) o = memory_order_release;
    late_store l = {word, size, value, releases(o) ? explorer.now[explorer.self] : nothing};
    bool late = is_late(word, o);
    if (late) explorer.queue[explorer.self][explorer.queued[explorer.self]++] = l;
    else land(&l);
    explorer.now[explorer.self].c[explorer.self]++;
}

static effect on_rmw(const volatile void *word, memory_order o, deed d, uint64_t value) {
    effect e = effect_on(d, word);
    if (watch && in_thread()) watch(d, word, value);
    drain(explorer.self);
    if (e == RELAXED) o = memory_order_relaxed;
    join_clocks(acquires(o) ? &explorer.now[explorer.self] : &explorer.seen[explorer.self], released(word));
    if (releases(o)) join_clocks(released(word), &explorer.now[explorer.self]);
    explorer.now[explorer.self].c[explorer.self]++;
    return e;
}

CHECK__UNUSED static void on_fence(void) {
    if (effect_on(FENCE, NULL) == AS_IT_IS) join_clocks(&explorer.now[explorer.self], &explorer.seen[explorer.self]);
}

CHECK__UNUSED static void rest(void) {
    if (!in_thread()) return;
    drain(explorer.self);
    explorer.resting[explorer.self] = true;
    give_way();
}

/* ---- what the system does ---- */

static bool fence_refused; /* the system's fence of all threads, from now on */

static long fence_all_threads(void) {
    give_way();
    if (fence_refused) return -1;
    if (effect_on(FENCE_ALL, NULL) == AS_IT_IS) drain_all();
    return 0;
}

/* A wait with a limit is a rest: when it is over, time has passed, and all stores are seen. */
static long sleep_at(const volatile void *word, uint32_t seen, bool limit) {
    if (!in_thread()) abort(); /* nobody would wake it */
    give_way();
    drain(explorer.self);
    if (peek(word) != seen) {
        errno = EAGAIN;
        return -1;
    }
    if (limit) {
        if (effect_on(FENCE_ALL, NULL) == AS_IT_IS) {
            rest();
            drain_all();
        }
        errno = ETIMEDOUT;
        return -1;
    }
    explorer.asleep[explorer.self] = word;
    give_way();
    return 0;
}

static long wake_at(const volatile void *word, int most) {
    give_way();
    if (in_thread()) drain(explorer.self);
    if (effect_on(WAKE, word) == LEFT_OUT) return 0;
    for (int k = 0; k < THREADS && most > 0; k++) {
        if (explorer.asleep[k] != word) continue;
        explorer.asleep[k] = NULL;
        most--;
    }
    return 0;
}

/* Of the calls that the library makes: FUTEX_WAIT, FUTEX_WAKE, and membarrier. */
CHECK__UNUSED static long system_call(long number, ...) {
    va_list a;
    if (number == __NR_clock_gettime) return 0; /* time stands still: limits pass as waits do */
    if (number != __NR_futex) return fence_all_threads();
    va_start(a, number);
    const volatile void *word = va_arg(a, void *);
    int what = va_arg(a, int);
    uint32_t n = va_arg(a, uint32_t);
    const void *limit = (what & 127) == 0 ? va_arg(a, void *) : NULL;
    va_end(a);
    return (what & 127) == 0 ? sleep_at(word, n, limit != NULL) : wake_at(word, (int)n);
}

CHECK__UNUSED static void read_cell(cell *c) {
    if (c->gone) fail("read what is gone");
    for (int i = 0; i < CLOCKS; i++)
        if (c->writes.c[i] > explorer.now[explorer.self].c[i]) fail("a read races with a write");
    c->reads.c[explorer.self] = ++explorer.now[explorer.self].c[explorer.self];
}

CHECK__UNUSED static void write_cell(cell *c) {
    const clocks *mine = &explorer.now[explorer.self];
    if (c->gone) fail("written what is gone");
    for (int i = 0; i < CLOCKS; i++)
        if (c->writes.c[i] > mine->c[i] || c->reads.c[i] > mine->c[i]) fail("a write races");
    c->writes.c[explorer.self] = ++explorer.now[explorer.self].c[explorer.self];
}

/* ---- the library's atomics, for each type, before the names are taken over ---- */

/* Tearing gives the others a chance between load and store. */
#define TWO_STEPS(p, e, now)                                                                                          \
    old = atomic_load(p);                                                                                             \
    if ((e) == LEFT_OUT) return old;                                                                                  \
    give_way();                                                                                                       \
    atomic_store(p, (now));                                                                                           \
    return old
#define RAW(name, T)                                                                                                  \
    CHECK__UNUSED static T load_##name(const volatile _Atomic(T) *p, memory_order o) {                                \
        effect e = on_load(p, o);                                                                                     \
        const late_store *l = find_late(p);                                                                           \
        T v = l ? (T)(uintptr_t)l->value : atomic_load(p);                                                            \
        if (e == LEFT_OUT || e == READS_ONE) v = (T)(uintptr_t)(e == READS_ONE);                                      \
        if (watch && in_thread()) watch(LOAD, p, (uint64_t)(uintptr_t)v);                                             \
        return v;                                                                                                     \
    }                                                                                                                 \
    CHECK__UNUSED static void store_##name(volatile _Atomic(T) *p, T v, memory_order o) {                             \
        on_store(p, sizeof v, stored_value(p, (uint64_t)(uintptr_t)v), o);                                            \
    }                                                                                                                 \
    CHECK__UNUSED static T exchange_##name(volatile _Atomic(T) *p, T v, memory_order o) {                             \
        T old;                                                                                                        \
        effect e = on_rmw(p, o, EXCHANGE, (uint64_t)(uintptr_t)v);                                                    \
        if (e != TORN && e != LEFT_OUT) return atomic_exchange(p, v);                                                 \
        TWO_STEPS(p, e, v);                                                                                           \
    }                                                                                                                 \
    CHECK__UNUSED static bool cas_##name(volatile _Atomic(T) *p, T *e, T v, memory_order o) {                         \
        return on_rmw(p, o, CAS, (uint64_t)(uintptr_t)v) == LEFT_OUT || atomic_compare_exchange_strong(p, e, v);      \
    }
#define RAW_OP(name, T, verb, deed, op)                                                                               \
    CHECK__UNUSED static T verb##_##name(volatile _Atomic(T) *p, T v, memory_order o) {                               \
        T old;                                                                                                        \
        effect e = on_rmw(p, o, deed, (uint64_t)v);                                                                   \
        if (e != TORN && e != LEFT_OUT) return atomic_fetch_##verb(p, v);                                             \
        TWO_STEPS(p, e, old op v);                                                                                    \
    }
#define RAW_ARITH(name, T)                                                                                            \
    RAW(name, T)                                                                                                      \
    RAW_OP(name, T, add, ADD, +)                                                                                      \
    RAW_OP(name, T, sub, SUB, -)                                                                                      \
    CHECK__UNUSED static T or_##name(volatile _Atomic(T) *p, T v, memory_order o) {                                   \
        (void)on_rmw(p, o, EXCHANGE, v);                                                                              \
        return atomic_fetch_or(p, v);                                                                                 \
    }                                                                                                                 \
    CHECK__UNUSED static T and_##name(volatile _Atomic(T) *p, T v, memory_order o) {                                  \
        (void)on_rmw(p, o, EXCHANGE, v);                                                                              \
        return atomic_fetch_and(p, v);                                                                                \
    }

/* What a store stores; only one seeded bug changes it. */
static uint64_t stored_value(const volatile void *word, uint64_t v) {
    return v == 0xC0000000u && effect_on(STORE, word) == LIMIT_LOW ? 0x7FFFFFFFu : v;
}

typedef void *pointer;
RAW_ARITH(32, uint32_t)
RAW_ARITH(64, uint64_t)
RAW(ptr, pointer)

#define BY_NUMBER(p, verb)                                                                                            \
    _Generic((p), _Atomic(uint32_t) *: verb##_32, const _Atomic(uint32_t) *: verb##_32,                               \
        _Atomic(uint64_t) *: verb##_64, const _Atomic(uint64_t) *: verb##_64)
#define BY_TYPE(p, verb)                                                                                              \
    _Generic((p), _Atomic(uint32_t) *: verb##_32, const _Atomic(uint32_t) *: verb##_32,                               \
        _Atomic(uint64_t) *: verb##_64, const _Atomic(uint64_t) *: verb##_64,                                         \
        _Atomic(pointer) *: verb##_ptr, const _Atomic(pointer) *: verb##_ptr)

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(p, o) (give_way_at(p), BY_TYPE(p, load)(p, o))
#define atomic_store_explicit(p, v, o) (give_way_at(p), BY_TYPE(p, store)((p), (v), o))
#define atomic_exchange_explicit(p, v, o) (give_way_at(p), BY_TYPE(p, exchange)((p), (v), o))
#define atomic_compare_exchange_strong_explicit(p, e, v, o, f) (give_way_at(p), BY_TYPE(p, cas)((p), (e), (v), o))
#define atomic_fetch_add_explicit(p, v, o) (give_way_at(p), BY_NUMBER(p, add)((p), (v), o))
#define atomic_fetch_sub_explicit(p, v, o) (give_way_at(p), BY_NUMBER(p, sub)((p), (v), o))
#define atomic_fetch_or_explicit(p, v, o) (give_way_at(p), BY_NUMBER(p, or)((p), (v), o))
#define atomic_fetch_and_explicit(p, v, o) (give_way_at(p), BY_NUMBER(p, and)((p), (v), o))
#define atomic_thread_fence(o) on_fence()
#define syscall system_call
#define PM__SPINS 0 /* a look more is a schedule more */
#define PM__SHARED_SELF() ((void *)&explorer.context[explorer.self])

/* ---- running all schedules ---- */

static void enter_thread(int i) {
    explorer.body[i]();
    drain(i);
    explorer.done[i] = true;
    jump(explorer.back);
}

static void start_thread(int i) {
    explorer.done[i] = explorer.resting[i] = explorer.begun[i] = false;
    explorer.asleep[i] = NULL;
    explorer.queued[i] = 0;
    explorer.now[i] = explorer.now[SETUP];
    explorer.now[i].c[i]++;
    memset(&explorer.seen[i], 0, sizeof explorer.seen[i]);
    getcontext(&explorer.context[i]);
    explorer.context[i].uc_stack.ss_sp = explorer.stack[i];
    explorer.context[i].uc_stack.ss_size = STACK;
    explorer.context[i].uc_link = NULL; /* a thread ends by a jump */
    makecontext(&explorer.context[i], (void (*)(void))(uintptr_t)enter_thread, 1, i);
}

/* Who may go on: the one that ran last is the first choice, then the others in turn. False: all have ended. */
static bool candidates(int can[THREADS], int *n) {
    bool left = false;
    *n = 0;
    for (int k = 0; k < explorer.threads; k++) {
        int who = explorer.last == SETUP ? k : (explorer.last + k) % explorer.threads;
        if (explorer.done[who]) continue;
        left = true;
        if (!explorer.resting[who] && !explorer.asleep[who]) can[(*n)++] = who;
    }
    return left;
}

/* Lets a thread go on until it gives way, or ends. */
static JUMPS void let_go_on(int i) {
    if (__builtin_setjmp(explorer.back)) return;
    if (explorer.begun[i]) jump(explorer.at[i]);
    explorer.begun[i] = true;
    setcontext(&explorer.context[i]);
    abort(); /* and no jump into the call above, which would take this function's frame away */
}

/* One run, under the decisions so far, extended by first choices. */
static void run_once(void) {
    explorer.last = SETUP;
    for (int i = 0; i < explorer.threads; i++) start_thread(i);
    explorer.running = true;
    explorer.steps = explorer.preemptions = explorer.late = 0;
    for (int can[THREADS], n; !explorer.failed && candidates(can, &n);) {
        if (!n) { /* all rest or sleep: those that rest look again, and stores are seen at last */
            bool some = false;
            drain_all();
            for (int i = 0; i < explorer.threads; i++) {
                some |= explorer.resting[i];
                explorer.resting[i] = false;
            }
            if (!some) fail("all that are left sleep for ever");
            continue;
        }
        /* Far into a run all take turns, or threads that wait could be chosen for ever before the one they wait for. */
        bool goes_on = can[0] == explorer.last;
        bool choice = explorer.steps < FAIR_FROM && (!goes_on || explorer.preemptions < explorer.preemptions_most);
        int next = can[decide(choice ? n : 1)];
        explorer.preemptions += goes_on && next != explorer.last;
        for (int i = 0; i < explorer.threads; i++)
            if (i != next) explorer.resting[i] = false; /* something moves: they may look again */
        explorer.self = explorer.last = next;
        let_go_on(next);
        explorer.self = SETUP;
    }
    explorer.running = false;
    for (int i = 0; i < explorer.threads; i++) join_clocks(&explorer.now[SETUP], &explorer.now[i]);
}

/* The next decisions. False: all have been tried. */
static bool next_schedule(void) {
    while (explorer.steps > 0) {
        int i = --explorer.steps;
        if (explorer.picked[i] + 1 < explorer.options[i]) {
            explorer.picked[i]++;
            memset(explorer.picked + i + 1, 0, sizeof explorer.picked - (size_t)i - 1);
            return true;
        }
    }
    return false;
}

enum { ALL = 1000 };

typedef struct scenario {
    const char *name;
    void (*prepare)(void);
    void (*finish)(void);
    void (*body[THREADS])(void);
    int threads, preemptions, late; /* at most so many preemptions (or ALL), and stores that are late */
} scenario;

/* For long runs: MORE_PREEMPTIONS=1 allows one more in every scenario, however many schedules that makes. */
static int more_preemptions(void) {
    const char *more = getenv("MORE_PREEMPTIONS");
    return more ? atoi(more) : 0;
}

/* Runs all schedules, or `most`; *runs counts them as it goes. explorer.failed tells whether one went wrong. Returns
   whether these were all. */
static bool explore(const scenario *s, uint64_t most, uint64_t *runs) {
    memset(explorer.picked, 0, sizeof explorer.picked);
    explorer.failed = false;
    explorer.why = "";
    explorer.threads = s->threads;
    explorer.preemptions_most = s->preemptions < ALL ? s->preemptions + more_preemptions() : ALL;
    explorer.late_most = s->late;
    for (int i = 0; i < THREADS; i++) {
        if (!explorer.stack[i]) explorer.stack[i] = malloc(STACK);
        explorer.body[i] = s->body[i];
    }
    for (*runs = 0; *runs < most;) {
        memset(explorer.words, 0, sizeof explorer.words);
        memset(explorer.now, 0, sizeof explorer.now);
        memset(explorer.seen, 0, sizeof explorer.seen);
        explorer.self = SETUP;
        word_kinds_n = 0;
        watch = NULL;
        fence_refused = false;
        s->prepare();
        ++*runs;
        run_once();
        if (explorer.failed) return false; /* what the threads held is lost with the process or the test */
        s->finish();
        if (explorer.failed) return false;
        if (!next_schedule()) return true;
    }
    return false;
}

/* ---- tests ---- */

static struct {
    uint64_t schedules, scenarios, seeded, found;
} tally;

/* A number that a child process can count up. */
static uint64_t *shared_number(void) {
    void *p = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

enum { SCHEDULES_MOST = 400000 }; /* a scenario that has more is to be made smaller */

/* For who only asks which lines run: SCHEDULES=500 ends each scenario there, and leaves seeded bugs out. 0: all. */
static uint64_t first_schedules(void) {
    const char *most = getenv("SCHEDULES");
    return most ? strtoull(most, NULL, 10) : 0;
}

static void expect_sound(const scenario *s) {
    uint64_t n = 0, first = first_schedules();
    bool all = explore(s, first ? first : more_preemptions() ? UINT64_MAX : SCHEDULES_MOST, &n);
    CHECK_NOTE(!explorer.failed, "%s: %s, in schedule %" PRIu64, s->name, explorer.why, n);
    tally.schedules += n;
    tally.scenarios++;
    printf("# %s: %" PRIu64 " schedules%s", s->name, n, all ? ", all" : "");
    if (s->preemptions < ALL) printf(" with at most %d preemptions", explorer.preemptions_most);
    if (s->late) printf(", at most %d late stores", s->late);
    printf("\n");
    CHECK_NOTE(all || first, "%s: %" PRIu64 " schedules were not all", s->name, n);
}

/* In a process of its own, since such a run may well crash. */
static void expect_found(const scenario *s, bug b) {
    static uint64_t *runs;
    int status = 0;
    if (first_schedules()) return;
    if (!runs) runs = shared_number();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        signal(SIGABRT, SIG_DFL);
        alarm(60);
        seeded = &b;
        (void)explore(s, SCHEDULES_MOST, runs);
        _exit(explorer.failed ? 1 : 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    tally.seeded++;
    tally.found += status != 0;
    printf("# %s, %s: %s in schedule %" PRIu64 "\n", s->name, b.name, status ? "found" : "NOT found", *runs);
    CHECK_NOTE(status != 0, "seeded bug not found: %s", b.name);
}

#endif
