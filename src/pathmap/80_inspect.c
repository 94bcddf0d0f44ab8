/* Looking inside: what is stored how, and whether it is stored rightly.

   All of it goes over distinct nodes, on lists of our own: a map of 2^80 values in a kilobyte of nodes is checked,
   measured and drawn in microseconds, and a path of any length costs no stack. Nothing here writes to a map.

     check        breadth first; a node is judged before anything that it points to is touched
     statistics   breadth first for what nodes are, depth first for what their occurrences add up to
     dump         entry by entry, in the order of paths
     node dump    breadth first; nodes are numbered in the order in which they are met */
#include "40_map.c"
#include "80_inspect.h"

/* ---- nodes, each once ---------------------------------------------------------------------------------------- */

typedef struct pm__inspect_item {
    pm__ref node;
    size_t tag; /* the user's: nodes above, position of an entry, whether children are done */
} pm__inspect_item;

/* Nodes that wait, taken from either end, and what is known of those met. */
typedef struct pm__inspect_list {
    pm__memo seen;
    pm__inspect_item *items;
    size_t next, used, cap;
    uint64_t met; /* distinct nodes so far */
} pm__inspect_list;

static void pm__inspect_close(pm__inspect_list *l) {
    if (l->items) pm__mem_free_big(l->items, l->cap * sizeof *l->items);
    pm__memo_free(&l->seen);
}

/* False: no memory. */
static bool pm__inspect_push(pm__inspect_list *l, pm__ref r, size_t tag) {
    if (l->used == l->cap && l->next > l->cap / 2) { /* mostly read: what waits moves to the front */
        l->used -= l->next;
        memmove(l->items, l->items + l->next, l->used * sizeof *l->items);
        l->next = 0;
    }
    if (l->used == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        void *grown = pm__mem_grow(l->items, l->cap * sizeof *l->items, cap * sizeof *l->items);
        if (!grown) return false;
        l->items = (pm__inspect_item *)grown;
        l->cap = cap;
    }
    l->items[l->used].node = r;
    l->items[l->used++].tag = tag;
    return true;
}

/* The oldest of those that wait. False: none. */
static bool pm__inspect_take(pm__inspect_list *l, pm__inspect_item *out) {
    if (l->next == l->used) return false;
    *out = l->items[l->next++];
    return true;
}

/* Numbers a node, from 1 in the order of meeting; a new one joins those that wait. False: no memory. */
static bool pm__inspect_meet(pm__inspect_list *l, pm__ref r, size_t tag, uint64_t *id) {
    const uint64_t *known = pm__memo_get(&l->seen, r, 0);
    if (known) {
        *id = *known;
        return true;
    }
    *id = l->met + 1;
    if (!pm__memo_put(&l->seen, r, 0, *id) || !pm__inspect_push(l, r, tag)) return false;
    l->met++;
    return true;
}

/* Counts one more meeting with what lies at an address. 0: no memory. */
static uint64_t pm__inspect_times(pm__inspect_list *l, const void *p) {
    uint64_t a = (uint64_t)(uintptr_t)p;
    const uint64_t *known = pm__memo_get(&l->seen, a, 1);
    uint64_t times = known ? *known + 1 : 1;
    return pm__memo_put(&l->seen, a, 1, times) ? times : 0;
}

/* Steps through what a sound node holds, in the order of paths: values and children (0: dangling), suffixes without a
   line's prefix. *at starts as 0. False: no more. */
static bool pm__inspect_next(pm__ref r, unsigned *at, pm__ent *e) {
    if (pm__ref_is_lined(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        unsigned i = (*at)++;
        if (i >= x->n) return false;
        e->first = x->body[i];
        e->len = pm__ref_kind(r) == PM__LINE ? pm__line_suffix(x, i) : 0;
        e->rest = pm__line_heap(x) + pm__line_off(x, i);
        e->child = pm__line_is_child(x, i);
        e->pay = e->child ? *pm__line_child(x, i) : *pm__line_val(x, i);
        return true;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    int i = pm__byte_position(x, (int)*at, false);
    if (i < 0) return false;
    *at = (unsigned)i + 1;
    e->first = (uint8_t)(i >> 1);
    e->len = 1;
    e->rest = NULL;
    e->child = i & 1;
    e->pay = e->child ? *pm__byte_child(x, e->first) : *pm__byte_val(x, e->first);
    return true;
}

/* ---- check --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_check(const pm_map *m, const char **why) {
    if (!m) return PM_INVALID;
    return pm__map_check(m, why);
}

/* ---- statistics ---------------------------------------------------------------------------------------------- */

/* Adds up the blocks of a wide node that no other node has shown before. */
static bool pm__inspect_stat_blocks(pm_stats *s, pm__inspect_list *l, const pm__byte *x) {
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        const pm__block *k = pm__byte_block(x, i);
        if (!k) continue;
        uint64_t times = pm__inspect_times(l, k);
        if (times == 0) return false;
        if (times > 1) continue;
        s->blocks++;
        s->bytes += pm__block_size(k->cap);
    }
    return true;
}

static bool pm__inspect_stat_node(pm_stats *s, pm__inspect_list *l, const pm__inspect_item *it) {
    const void *p = pm__ref_ptr(it->node);
    unsigned kind = pm__ref_kind(it->node), at = 0;
    size_t depth = it->tag;
    pm__ent e;
    s->nodes++;
    s->nodes_at_depth[depth < PM_STATS_DEPTHS ? depth : PM_STATS_DEPTHS - 1]++;
    s->shared_nodes += !pm__ref_is_unique(it->node);
    if (kind == PM__LINE) {
        s->line_nodes++;
        s->line_entries += ((const pm__line *)p)->n;
        s->bytes += pm__line_size((const pm__line *)p);
    } else if (kind == PM__RANGE) {
        s->range_nodes++;
        s->bytes += pm__line_size((const pm__line *)p);
    } else {
        *(kind == PM__WIDE ? &s->wide_nodes : &s->byte_nodes) += 1;
        s->bytes += pm__byte_size((const pm__byte *)p);
        if (kind == PM__WIDE && !pm__inspect_stat_blocks(s, l, (const pm__byte *)p)) return false;
    }
    while (pm__inspect_next(it->node, &at, &e)) {
        uint64_t id;
        if (!e.child) continue;
        if (!e.pay) s->dangling++;
        else if (s->references++, !pm__inspect_meet(l, e.pay, depth + 1, &id)) return false;
    }
    return true;
}

enum { PM__INSPECT_SIZE = 1, PM__INSPECT_HEIGHT = 2 }; /* what is remembered of a node: occurrences below, levels */

/* Works out a node whose children are done. False: no memory. */
static bool pm__inspect_weigh_node(pm__inspect_list *l, pm__ref r) {
    uint64_t size = 1, height = 0;
    unsigned at = 0;
    for (pm__ent e; pm__inspect_next(r, &at, &e);) {
        if (!e.child || !e.pay) continue;
        size = pm__sat_add(size, *pm__memo_get(&l->seen, e.pay, PM__INSPECT_SIZE));
        uint64_t h = *pm__memo_get(&l->seen, e.pay, PM__INSPECT_HEIGHT);
        if (h > height) height = h;
    }
    return pm__memo_put(&l->seen, r, PM__INSPECT_SIZE, size) &&
           pm__memo_put(&l->seen, r, PM__INSPECT_HEIGHT, height + 1);
}

/* Depth first: each node is put back under its children, and worked out when it comes up again. */
static bool pm__inspect_weigh(pm__inspect_list *l, pm__ref root, pm_stats *s) {
    bool ok = !root || pm__inspect_push(l, root, false);
    while (ok && l->used) {
        pm__inspect_item it = l->items[--l->used];
        if (pm__memo_get(&l->seen, it.node, PM__INSPECT_SIZE)) continue; /* several nodes had pushed it */
        if (it.tag) {
            ok = pm__inspect_weigh_node(l, it.node);
            continue;
        }
        unsigned at = 0;
        ok = pm__inspect_push(l, it.node, true);
        for (pm__ent e; ok && pm__inspect_next(it.node, &at, &e);)
            if (e.child && e.pay && !pm__memo_get(&l->seen, e.pay, PM__INSPECT_SIZE))
                ok = pm__inspect_push(l, e.pay, false);
    }
    if (!ok || !root) return ok;
    s->unshared_nodes = *pm__memo_get(&l->seen, root, PM__INSPECT_SIZE);
    s->max_depth = (size_t)*pm__memo_get(&l->seen, root, PM__INSPECT_HEIGHT);
    return true;
}

static bool pm__inspect_stat_all(const pm_map *m, pm_stats *s) {
    pm__inspect_list l = {{NULL, 0, 0}, NULL, 0, 0, 0, 0}, w = l;
    pm__inspect_item it;
    uint64_t id;
    bool ok = true;
    if (m->root) s->references = 1, ok = pm__inspect_meet(&l, m->root, 0, &id);
    while (ok && pm__inspect_take(&l, &it)) ok = pm__inspect_stat_node(s, &l, &it);
    pm__inspect_close(&l);
    ok = ok && pm__inspect_weigh(&w, m->root, s);
    pm__inspect_close(&w);
    return ok;
}

PM_API pm_status pm_get_stats(const pm_map *m, pm_stats *out) {
    if (!out) return PM_INVALID;
    pm_stats s;
    memset(&s, 0, sizeof s);
    pm_status st = pm_val_count(m, &s.values);
    if (st == PM_OK) st = pm_location_count(m, &s.locations);
    if (st == PM_OK && !pm__inspect_stat_all(m, &s)) st = PM_NOMEM;
    if (st == PM_OK) *out = s;
    return st;
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

/* Text on its way to a sink, gathered into pieces. Once the sink has said no, nothing more is sent. */
typedef struct pm__inspect_text {
    pm_sink sink;
    void *ctx;
    size_t used;
    bool stopped;
    const char *(*escape)(char c); /* NULL, or says what is written in place of a character; NULL: that itself */
    char buf[512];
} pm__inspect_text;

static void pm__inspect_flush(pm__inspect_text *t) {
    if (t->used && !t->stopped) t->stopped = !t->sink(t->ctx, t->buf, t->used);
    t->used = 0;
}

static void pm__inspect_char(pm__inspect_text *t, char c) {
    const char *instead = t->escape ? t->escape(c) : NULL;
    char itself[2] = {c, '\0'};
    for (const char *s = instead ? instead : itself; *s; s++) {
        if (t->used == sizeof t->buf) pm__inspect_flush(t);
        t->buf[t->used++] = *s;
    }
}

static void pm__inspect_say(pm__inspect_text *t, const char *s) {
    while (*s) pm__inspect_char(t, *s++);
}

static void pm__inspect_number(pm__inspect_text *t, uint64_t n) {
    char digits[20];
    unsigned i = 0;
    do digits[i++] = (char)('0' + n % 10);
    while (n /= 10);
    while (i) pm__inspect_char(t, digits[--i]);
}

/* A number and what it counts. */
static void pm__inspect_count(pm__inspect_text *t, uint64_t n, const char *one, const char *many) {
    pm__inspect_number(t, n);
    pm__inspect_char(t, ' ');
    pm__inspect_say(t, n == 1 ? one : many);
}

static void pm__inspect_path(pm__inspect_text *t, const uint8_t *s, size_t len) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        uint8_t c = s[i];
        if (c >= ' ' && c <= '~' && c != '\\' && c != '=' && c != '!' && c != ',') {
            pm__inspect_char(t, (char)c);
            continue;
        }
        pm__inspect_say(t, "\\x");
        pm__inspect_char(t, hex[c >> 4]);
        pm__inspect_char(t, hex[c & 15]);
    }
}

/* Byte strings by their content, which unlike their address is the same in each run. */
static void pm__inspect_value(pm__inspect_text *t, const pm_ops *ops, pm_val v) {
    size_t len = 0;
    if (ops != pm_ops_bytes()) {
        pm__inspect_number(t, v);
        return;
    }
    const uint8_t *s = (const uint8_t *)pm_bytes_get(v, &len);
    pm__inspect_path(t, s, len);
}

static void pm__inspect_suffix(pm__inspect_text *t, const pm__ent *e) {
    if (e->len) pm__inspect_path(t, &e->first, 1);
    if (e->len > 1) pm__inspect_path(t, e->rest, e->len - 1u);
}

/* How it ended. */
static pm_status pm__inspect_done(pm__inspect_text *t, bool memory) {
    if (!memory) return PM_NOMEM;
    pm__inspect_flush(t);
    return t->stopped ? PM_IO : PM_OK;
}

/* ---- dump ---------------------------------------------------------------------------------------------------- */

typedef struct pm__inspect_dump {
    pm__inspect_text text;
    const pm_ops *ops;
    pm__walk walk;
} pm__inspect_dump;

/* Says a terminal. Not PM_OK: the sink has had enough. */
static int pm__inspect_terminal(void *ctx, const pm_val *val, size_t len, size_t low) {
    pm__inspect_dump *d = (pm__inspect_dump *)ctx;
    (void)low;
    pm__inspect_path(&d->text, d->walk.path.data, len);
    pm__inspect_char(&d->text, val ? '=' : '!');
    if (val) pm__inspect_value(&d->text, d->ops, *val);
    pm__inspect_char(&d->text, '\n');
    return d->text.stopped ? PM_IO : PM_OK;
}

static int pm__inspect_dangling(void *ctx, size_t len, size_t low) { return pm__inspect_terminal(ctx, NULL, len, low); }

static const pm__walker pm__inspect_walker = {.leaf = pm__walk_leaf_slowly, .mark = pm__inspect_terminal,
    .end = pm__inspect_dangling};

PM_API pm_status pm_dump(const pm_map *m, pm_sink sink, void *ctx) {
    if (!m || !sink) return PM_INVALID;
    pm__inspect_dump d = {.text = {.sink = sink, .ctx = ctx}, .ops = pm_map_ops(m), .walk = pm__walk_begin()};
    int s = m->has_value ? pm__inspect_terminal(&d, &m->value, 0, 0) : PM_OK;
    if (s == PM_OK) s = pm__walk_slowly(&d.walk, &pm__inspect_walker, &d, m->root);
    pm__walk_end(&d.walk);
    return pm__inspect_done(&d.text, s != PM_NOMEM);
}

/* ---- nodes as text ------------------------------------------------------------------------------------------- */

/* The first line of a node's paragraph. */
static void pm__inspect_head_line(pm__inspect_text *t, pm__ref r, uint64_t id) {
    const pm__head *h = (const pm__head *)pm__ref_ptr(r);
    pm__inspect_char(t, '#');
    pm__inspect_number(t, id);
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)(const void *)h;
        pm__inspect_say(t, " line, ");
        pm__inspect_count(t, x->n, "entry", "entries");
        pm__inspect_say(t, ", ");
        pm__inspect_number(t, pm__line_size(x));
    } else if (pm__ref_kind(r) == PM__RANGE) {
        const pm__line *x = (const pm__line *)(const void *)h;
        pm__inspect_say(t, " range, ");
        pm__inspect_count(t, x->n, "part", "parts");
        pm__inspect_say(t, ", ");
        pm__inspect_number(t, pm__line_size(x));
    } else {
        const pm__byte *x = (const pm__byte *)(const void *)h;
        pm__inspect_say(t, pm__byte_is_wide(x) ? " wide, " : " byte, ");
        pm__inspect_count(t, x->nc, "child", "children");
        pm__inspect_say(t, ", ");
        pm__inspect_count(t, x->nv, "value", "values");
        pm__inspect_say(t, ", ");
        pm__inspect_number(t, pm__byte_size(x));
    }
    pm__inspect_say(t, " bytes");
    pm__count_word n = pm__count_load_relaxed(&h->rc);
    if (n > 1) pm__inspect_say(t, ", "), pm__inspect_count(t, n, "reference", "references");
    pm__inspect_char(t, '\n');
}

/* Of a wide node: its blocks, each with its children and who else has it. */
static void pm__inspect_block_lines(pm__inspect_text *t, const pm__byte *x) {
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        const pm__block *k = pm__byte_block(x, i);
        if (!k) continue;
        pm__count_word n = pm__count_load_relaxed(&k->rc);
        pm__inspect_say(t, "  block of bytes ");
        pm__inspect_number(t, i * 16u);
        pm__inspect_say(t, "..");
        pm__inspect_number(t, i * 16u + 15);
        pm__inspect_say(t, ": ");
        pm__inspect_count(t, pm__popcount32(pm__byte_block_bits(x, i)), "child", "children");
        if (n > 1) pm__inspect_say(t, ", "), pm__inspect_count(t, n, "reference", "references");
        pm__inspect_char(t, '\n');
    }
}

static bool pm__inspect_paragraph(pm__inspect_text *t, pm__inspect_list *l, pm__ref r, uint64_t id, const pm_ops *ops) {
    unsigned at = 0;
    pm__inspect_char(t, '\n');
    pm__inspect_head_line(t, r, id);
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        if (x->plen) {
            pm__inspect_say(t, "  prefix ");
            pm__inspect_path(t, pm__line_heap(x), x->plen);
            pm__inspect_char(t, '\n');
        }
    } else if (pm__ref_kind(r) == PM__WIDE) {
        pm__inspect_block_lines(t, (const pm__byte *)pm__ref_ptr(r));
    }
    for (pm__ent e; pm__inspect_next(r, &at, &e);) {
        uint64_t below;
        pm__inspect_say(t, "  ");
        pm__inspect_suffix(t, &e);
        if (!e.child) {
            pm__inspect_char(t, '=');
            pm__inspect_value(t, ops, e.pay);
        } else if (!e.pay) {
            pm__inspect_char(t, '!');
        } else {
            if (!pm__inspect_meet(l, e.pay, 0, &below)) return false;
            pm__inspect_say(t, " -> #");
            pm__inspect_number(t, below);
        }
        pm__inspect_char(t, '\n');
    }
    return true;
}

PM_API pm_status pm_dump_nodes(const pm_map *m, pm_sink sink, void *ctx) {
    if (!m || !sink) return PM_INVALID;
    pm__inspect_text t = {.sink = sink, .ctx = ctx};
    pm__inspect_list l = {{NULL, 0, 0}, NULL, 0, 0, 0, 0};
    const pm_ops *ops = pm_map_ops(m);
    pm__inspect_item it;
    uint64_t id = 0;
    bool memory = !m->root || pm__inspect_meet(&l, m->root, 0, &id);
    pm__inspect_say(&t, "map of values ");
    pm__inspect_say(&t, ops->name ? ops->name : "without a name");
    if (m->has_value) pm__inspect_say(&t, ", root value "), pm__inspect_value(&t, ops, m->value);
    pm__inspect_say(&t, m->root ? ", root #1\n" : ", no nodes\n");
    for (id = 0; memory && !t.stopped && pm__inspect_take(&l, &it);)
        memory = pm__inspect_paragraph(&t, &l, it.node, ++id, ops);
    pm__inspect_close(&l);
    return pm__inspect_done(&t, memory);
}

/* ---- conflicts ----------------------------------------------------------------------------------------------- */

static bool pm__inspect_claim(void *ctx, const uint8_t *path, size_t len, pm_val kinds) {
    pm__inspect_text *t = (pm__inspect_text *)ctx;
    if (kinds & PM_CLAIM_WRITER) pm__inspect_say(t, "writer ");
    if (kinds == (PM_CLAIM_WRITER | PM_CLAIM_PINNED)) pm__inspect_say(t, "and ");
    if (kinds & PM_CLAIM_PINNED) pm__inspect_say(t, "pinned reader ");
    pm__inspect_say(t, "at ");
    pm__inspect_path(t, path, len);
    pm__inspect_char(t, '\n');
    return !t->stopped;
}

PM_API pm_status pm_dump_conflict(const pm_map *why, pm_sink sink, void *ctx) {
    if (!why || !sink || pm_map_ops(why) != pm_ops_bits()) return PM_INVALID;
    pm__inspect_text t = {.sink = sink, .ctx = ctx};
    return pm__inspect_done(&t, pm_each(why, pm__inspect_claim, &t) != PM_NOMEM);
}
