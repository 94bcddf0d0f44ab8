/* What a process has one of (and each static copy of this library): the list of tables, which forks and ending threads
   go through, and what a thread has one of: its number, and how many writer slots it holds.

   A thread that holds a slot has a value under a thread-specific key, whose destructor gives the slots back. Where no
   key is to be had, as on Windows, a slot carries the system's number of its thread, and whoever finds all slots taken
   asks the kernel which of them still exist (Linux, Windows; elsewhere such a slot is lost). The key goes when the
   shared object that carries the library is unloaded: a thread without slots has no value under it, so nothing is
   called then. */

#include "10_platform.c"

/* One table's place in the list. */
typedef struct intern__link {
    struct intern__link *prev, *next;
} intern__link;

static struct {
    intern__lock lock; /* taken before any table's locks */
    intern__link *first;
    bool started, failed; /* failed: forks would go unnoticed */
    _Atomic bool has_key;
#if INTERN__POSIX
    pthread_key_t key;
#endif
} intern__process;

static void intern__process_add(intern__link *l) {
    intern__lock_take(&intern__process.lock);
    l->prev = NULL;
    l->next = intern__process.first;
    if (l->next) l->next->prev = l;
    intern__process.first = l;
    intern__lock_give(&intern__process.lock);
}

static void intern__process_remove(intern__link *l) {
    intern__lock_take(&intern__process.lock);
    if (l->prev) l->prev->next = l->next;
    else intern__process.first = l->next;
    if (l->next) l->next->prev = l->prev;
    intern__lock_give(&intern__process.lock);
}

/* Once, before there is a table. False: forks would go unnoticed. */
static bool intern__process_start(void (*thread_end)(void *), void (*prepare)(void), void (*parent)(void),
                                  void (*child)(void)) {
    intern__lock_take(&intern__process.lock);
#if INTERN__POSIX
    if (!intern__process.started) {
        intern__process.failed = pthread_atfork(prepare, parent, child) != 0;
        INTERN__STORE(&intern__process.has_key, pthread_key_create(&intern__process.key, thread_end) == 0,
                      INTERN__RELEASE);
    }
#else
    (void)thread_end, (void)prepare, (void)parent, (void)child;
#endif
    intern__process.started = true;
    bool well = !intern__process.failed;
    intern__lock_give(&intern__process.lock);
    return well;
}

#if defined(__GNUC__) && INTERN__POSIX
/* At unload, or at exit. */
__attribute__((destructor)) static void intern__process_end(void) {
    if (!INTERN__LOAD(&intern__process.has_key, INTERN__ACQUIRE)) return;
    INTERN__STORE(&intern__process.has_key, false, INTERN__RELAXED);
    pthread_key_delete(intern__process.key);
}
#endif

/* The calling thread. */
typedef struct intern__thread {
    uint64_t number; /* never 0 and never given twice: unlike thread handles and addresses of thread-local objects,
                        which come back after a thread has ended */
    uint64_t slots;  /* held, in all tables */
} intern__thread;

INTERN__INLINE intern__thread *intern__self(void) {
    static _Atomic uint64_t last;
    static _Thread_local intern__thread self;
    if (INTERN__UNLIKELY(self.number == 0)) {
        INTERN_ON_ATOMIC_RMW();
        self.number = atomic_fetch_add_explicit(&last, 1, INTERN__RELAXED) + 1;
    }
    return &self;
}

/* What the key's destructor is called with: whether others that the thread has were called before, which may still use
   its permits. */
static const char intern__thread_first = 1, intern__thread_again = 2;

static bool intern__thread_note(const char *what) {
#if INTERN__POSIX
    return INTERN__LOAD(&intern__process.has_key, INTERN__ACQUIRE) &&
           pthread_setspecific(intern__process.key, what) == 0;
#else
    (void)what; /* whether a thread's variables outlive callbacks at its end depends on the compiler */
    return false;
#endif
}

/* The kernel's number of the calling thread, 0 where it has none. */
static uint32_t intern__thread_id(void) {
#if defined(__linux__)
    return (uint32_t)syscall(SYS_gettid);
#elif defined(_WIN32)
    return (uint32_t)GetCurrentThreadId();
#else
    return 0;
#endif
}

/* The thread has one slot more. Returns 0 when its end will be noticed, else a number to ask the kernel about. */
static uint32_t intern__thread_got(intern__thread *self) {
    self->slots++;
    return intern__thread_note(&intern__thread_first) ? 0 : intern__thread_id();
}

static void intern__thread_lost(intern__thread *self) {
    if (--self->slots == 0) (void)intern__thread_note(NULL);
}

/* Whether the kernel says that a thread is no more. If its number went to another thread, it says so later. */
static bool intern__thread_gone(uint32_t number) {
    bool gone = false;
#if defined(__linux__)
    int kept = errno;
    gone = number && syscall(SYS_tgkill, (long)getpid(), (long)number, 0L) != 0 && errno == ESRCH;
    errno = kept;
#elif defined(_WIN32)
    HANDLE h = number ? OpenThread(SYNCHRONIZE, FALSE, number) : NULL;
    gone = number && (h ? WaitForSingleObject(h, 0) == WAIT_OBJECT_0 : GetLastError() == ERROR_INVALID_PARAMETER);
    if (h) CloseHandle(h);
#endif
    (void)number;
    return gone;
}
