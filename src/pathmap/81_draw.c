/* Drawings. A picture is made of boxes and rows: a box is a place from which something leads on, a row is a run of
   bytes from there to the next place that shows something, with the value at its end and the box below. What a box is
   differs:

     nodes as stored    the root of a node; a row is an entry
     content            a place with a value above it, or a fork; a row passes through as many nodes as it takes

   In both, a node that is reached more than once must be one box, even in the middle of a run. So the ways to each node
   are counted first. Boxes wait on a list, and of trees on a stack; depth costs no stack of the machine's. */
#include "29_compare.c"
#include "80_inspect.c"
#include "81_draw.h"

/* A box whose rows are being gone through. */
typedef struct pm__draw_box {
    pm_place place; /* entered */
    uint64_t id;
    unsigned next; /* byte or entry */
    bool last;     /* tree: the row drawn last was the last one */
} pm__draw_box;

/* What leads on from a box; its bytes are in pm__draw.run. */
typedef struct pm__draw_row {
    pm_opt val;
    pm_place below; /* entered; node 0: nothing */
    bool some, dangles;
} pm__draw_row;

typedef struct pm__draw {
    pm__inspect_text text;
    pm__memo ways, ids; /* of nodes: how many lead there; the numbers of those drawn */
    pm__list boxes, run;
    size_t done;    /* boxes drawn */
    uint64_t count; /* numbers given */
    const pm_ops *ops;
    unsigned form;
    bool nodes, values;
} pm__draw;

/* ---- what there is to draw ----------------------------------------------------------------------------------- */

static bool pm__draw_push(pm__draw *d, const pm_place *p, uint64_t id) {
    pm__draw_box b = {*p, id, 0, false};
    return pm__list_put(&d->boxes, &b, 1);
}

static bool pm__draw_count_way(pm__draw *d, pm__ref r) {
    const uint64_t *known = pm__memo_get(&d->ways, r, 0);
    uint64_t n = known ? *known : 0;
    const pm_place root = pm__place_root(r);
    return pm__memo_put(&d->ways, r, 0, n + 1) && (n || pm__draw_push(d, &root, 0));
}

/* Counts the ways to each node of a map. */
static bool pm__draw_count(pm__draw *d, const pm_map *m) {
    bool ok = !m->root || pm__draw_count_way(d, m->root);
    while (ok && d->boxes.used) {
        pm__ref r = ((pm__draw_box *)pm__list_pop(&d->boxes))->place.node;
        unsigned at = 0;
        for (pm__ent e; ok && pm__inspect_next(r, &at, &e);)
            if (e.child && e.pay) ok = pm__draw_count_way(d, e.pay);
    }
    return ok;
}

/* Whether a place is the root of a node that is one box however often it is met. */
static bool pm__draw_is_common(const pm__draw *d, const pm_place *p) {
    return p->depth == 0 && (d->nodes || *pm__memo_get(&d->ways, p->node, 0) > 1);
}

static bool pm__draw_is_grey(const pm__draw *d, const pm_place *p) {
    return p->depth == 0 && (*pm__memo_get(&d->ways, p->node, 0) > 1 || (d->nodes && !pm__ref_is_unique(p->node)));
}

/* The next entry of a node. */
static bool pm__draw_entry(pm__draw *d, pm__draw_box *b, pm__draw_row *row) {
    pm__ent e;
    row->some = pm__inspect_next(b->place.node, &b->next, &e);
    if (!row->some) return true;
    row->val.val = e.pay, row->val.some = !e.child;
    row->dangles = e.child && !e.pay;
    if (e.child && e.pay) row->below = pm__place_root(e.pay);
    if (e.len && !pm__list_put(&d->run, &e.first, 1)) return false;
    return e.len < 2 || pm__list_put(&d->run, e.rest, e.len - 1u);
}

/* The next run that leads on from a place. */
static bool pm__draw_way(pm__draw *d, pm__draw_box *b, pm__draw_row *row) {
    pm_mask m = pm__place_mask_entered(&b->place);
    pm_place q = b->place;
    int c = pm__mask_next(&m, (int)b->next);
    row->some = c >= 0;
    b->next = (unsigned)c + 1;
    while (c >= 0) {
        uint8_t byte = (uint8_t)c;
        if (!pm__list_put(&d->run, &byte, 1)) return false;
        (void)pm__place_step(&q, byte);
        const pm_val *val = pm__place_val(&q);
        if (val) row->val.val = *val, row->val.some = true;
        if (!pm__place_enter(&q)) {
            row->dangles = !val;
            break;
        }
        m = pm__place_mask_entered(&q);
        c = pm_mask_count(&m) > 1 || val || pm__draw_is_common(d, &q) ? -1 : pm__mask_next(&m, 0);
        if (c < 0) row->below = q;
    }
    return true;
}

/* Goes to the next row, if there is some. False: no memory. */
static bool pm__draw_next(pm__draw *d, pm__draw_box *b, pm__draw_row *row) {
    memset(row, 0, sizeof *row);
    d->run.used = 0;
    return d->nodes ? pm__draw_entry(d, b, row) : pm__draw_way(d, b, row);
}

/* The number of what lies at a place; *again: it had one. False: no memory. */
static bool pm__draw_number(pm__draw *d, const pm_place *p, uint64_t *id, bool *again) {
    const uint64_t *known = pm__draw_is_common(d, p) ? pm__memo_get(&d->ids, p->node, 0) : NULL;
    *again = known != NULL;
    *id = known ? *known : ++d->count;
    return *again || !pm__draw_is_common(d, p) || pm__memo_put(&d->ids, p->node, 0, *id);
}

/* ---- words --------------------------------------------------------------------------------------------------- */

static void pm__draw_value(pm__draw *d, pm_opt val) {
    if (val.some) pm__inspect_char(&d->text, '=');
    if (val.some && d->values) pm__inspect_value(&d->text, d->ops, val.val);
}

/* The bytes of a row and what is at their end. */
static void pm__draw_label(pm__draw *d, const pm__draw_row *row) {
    pm__inspect_path(&d->text, d->run.data, d->run.used);
    pm__draw_value(d, row->val);
    if (row->dangles) pm__inspect_char(&d->text, '!');
}

/* A name such as n12. */
static void pm__draw_name(pm__inspect_text *t, char kind, uint64_t id) {
    pm__inspect_char(t, kind);
    pm__inspect_number(t, id);
}

static void pm__draw_map_name(pm__draw *d, const pm_map *m, size_t index) {
    pm__inspect_say(&d->text, "map ");
    pm__inspect_number(&d->text, index);
    const pm_opt val = {m->value, m->has_value};
    pm__draw_value(d, val);
}

/* ---- trees --------------------------------------------------------------------------------------------------- */

/* What lies below a line of text: its number, if it is met several times, and the rows that are to follow. */
static bool pm__draw_under(pm__draw *d, const pm_place *p) {
    uint64_t id = 0;
    bool again = false;
    if (pm__draw_is_common(d, p)) {
        if (!pm__draw_number(d, p, &id, &again)) return false;
        pm__inspect_say(&d->text, again ? " -> #" : " #");
        pm__inspect_number(&d->text, id);
    }
    return again || pm__draw_push(d, p, id);
}

static bool pm__draw_tree_row(pm__draw *d) {
    pm__draw_box *top = (pm__draw_box *)pm__list_at(&d->boxes, d->boxes.used - 1);
    pm__draw_row row;
    if (!pm__draw_next(d, top, &row)) return false;
    if (!row.some) {
        d->boxes.used--;
        return true;
    }
    pm_mask m = pm__place_mask_entered(&top->place);
    top->last = pm__mask_next(&m, (int)top->next) < 0;
    for (size_t i = 0; i + 1 < d->boxes.used; i++)
        pm__inspect_say(&d->text, ((pm__draw_box *)pm__list_at(&d->boxes, i))->last ? "    " : "|   ");
    pm__inspect_say(&d->text, top->last ? "`-- " : "|-- ");
    pm__draw_label(d, &row);
    bool ok = !row.below.node || pm__draw_under(d, &row.below);
    pm__inspect_char(&d->text, '\n');
    return ok;
}

static bool pm__draw_tree(pm__draw *d, const pm_map *m, size_t index) {
    const pm_place root = pm__place_root(m->root);
    pm__draw_map_name(d, m, index);
    bool ok = !m->root || pm__draw_under(d, &root);
    pm__inspect_char(&d->text, '\n');
    while (ok && d->boxes.used && !d->text.stopped) ok = pm__draw_tree_row(d);
    return ok;
}

/* ---- boxes and arrows ---------------------------------------------------------------------------------------- */

static const char *pm__draw_escape_dot(char c) {
    static const char *const with[] = {"\\\"", "\\\\", "\\{", "\\}", "\\|", "\\<", "\\>", "\\ "};
    const char *at = c ? strchr("\"\\{}|<> ", c) : NULL;
    return at ? with[at - "\"\\{}|<> "] : NULL;
}

static const char *pm__draw_escape_mermaid(char c) {
    switch (c) {
    case '"': return "#quot;";
    case '#': return "#35;";
    case '&': return "#amp;";
    case '<': return "#lt;";
    case '>': return "#gt;";
    case '`': return "#96;";
    default: return NULL;
    }
}

/* Text of a box: what kind of node it is, and the rows; where arrows leave from rows, all of them, else those that end
   here. */
static bool pm__draw_rows(pm__draw *d, const pm__draw_box *box, const char *between) {
    static const char *const kinds[] = {"line", "byte", "wide", "range"};
    const bool ports = d->form == PM_DRAW_DOT;
    const char *(*const escape)(char c) = ports ? pm__draw_escape_dot : pm__draw_escape_mermaid;
    pm__inspect_text *t = &d->text;
    pm__draw_box b = *box;
    bool some = d->nodes;
    if (d->nodes) {
        const unsigned kind = pm__ref_kind(b.place.node);
        pm__inspect_say(t, kinds[kind]);
        const pm__line *x = kind == PM__LINE ? pm__place_line(&b.place) : NULL;
        if (x && x->plen) {
            pm__inspect_say(t, ports ? "\\ " : " ");
            t->escape = escape;
            pm__inspect_path(t, pm__line_heap(x), x->plen);
            t->escape = NULL;
        }
    }
    for (unsigned i = 0;; i++) {
        pm__draw_row row;
        if (!pm__draw_next(d, &b, &row)) return false;
        if (!row.some) break;
        if (row.below.node && !ports) continue;
        if (some) pm__inspect_say(t, between);
        some = true;
        if (row.below.node) {
            pm__inspect_char(t, '<');
            pm__draw_name(t, 'p', i);
            pm__inspect_char(t, '>');
        }
        t->escape = escape;
        pm__draw_label(d, &row);
        t->escape = NULL;
    }
    if (!some) pm__inspect_char(t, '.');
    return true;
}

/* One arrow, from the i-th row of a box; its bytes are in `run`. */
static void pm__draw_arrow(pm__draw *d, uint64_t from, unsigned i, const pm__draw_row *row, uint64_t to) {
    pm__inspect_text *t = &d->text;
    pm__inspect_say(t, "  ");
    pm__draw_name(t, 'n', from);
    if (d->form == PM_DRAW_DOT) {
        pm__inspect_char(t, ':');
        pm__draw_name(t, 'p', i);
        pm__inspect_say(t, ":e -> ");
    } else {
        pm__inspect_say(t, " -->|\"");
        t->escape = pm__draw_escape_mermaid;
        pm__draw_label(d, row);
        t->escape = NULL;
        pm__inspect_say(t, "\"| ");
    }
    pm__draw_name(t, 'n', to);
    pm__inspect_say(t, d->form == PM_DRAW_DOT ? ":w;\n" : "\n");
}

/* The arrows of a box; boxes that they are the first to reach wait from then on. */
static bool pm__draw_arrows(pm__draw *d, const pm__draw_box *box) {
    pm__draw_box b = *box; /* the list may move */
    for (unsigned i = 0;; i++) {
        pm__draw_row row;
        uint64_t to;
        bool again;
        if (!pm__draw_next(d, &b, &row)) return false;
        if (!row.some) return true;
        if (!row.below.node) continue;
        if (!pm__draw_number(d, &row.below, &to, &again)) return false;
        pm__draw_arrow(d, b.id, i, &row, to);
        if (!again && !pm__draw_push(d, &row.below, to)) return false;
    }
}

static bool pm__draw_one(pm__draw *d, const pm__draw_box *b) {
    pm__inspect_text *t = &d->text;
    const bool dot = d->form == PM_DRAW_DOT, grey = pm__draw_is_grey(d, &b->place);
    pm__inspect_say(t, "  ");
    pm__draw_name(t, 'n', b->id);
    pm__inspect_say(t, !dot ? "[\"" : grey ? " [style=filled, label=\"" : " [label=\"");
    if (!pm__draw_rows(d, b, dot ? "\\l|" : "<br>")) return false;
    pm__inspect_say(t, dot ? "\\l\"];\n" : "\"]\n");
    if (grey && !dot) {
        pm__inspect_say(t, "  style ");
        pm__draw_name(t, 'n', b->id);
        pm__inspect_say(t, " fill:#ccc\n");
    }
    return pm__draw_arrows(d, b);
}

/* A map's handle, and all boxes that it is the first to reach. */
static bool pm__draw_boxes(pm__draw *d, const pm_map *m, size_t index) {
    const bool dot = d->form == PM_DRAW_DOT;
    pm__inspect_text *t = &d->text;
    pm__inspect_say(t, "  ");
    pm__draw_name(t, 'm', index);
    pm__inspect_say(t, dot ? " [shape=plaintext, label=\"" : "([\"");
    t->escape = dot ? pm__draw_escape_dot : pm__draw_escape_mermaid;
    pm__draw_map_name(d, m, index);
    t->escape = NULL;
    pm__inspect_say(t, dot ? "\"];\n" : "\"])\n");
    if (m->root) {
        const pm_place root = pm__place_root(m->root);
        uint64_t id;
        bool again;
        if (!pm__draw_number(d, &root, &id, &again) || (!again && !pm__draw_push(d, &root, id))) return false;
        pm__inspect_say(t, "  ");
        pm__draw_name(t, 'm', index);
        pm__inspect_say(t, dot ? " -> " : " --> ");
        pm__draw_name(t, 'n', id);
        pm__inspect_say(t, dot ? ";\n" : "\n");
    }
    while (!t->stopped && d->done < d->boxes.used) {
        const pm__draw_box b = *(pm__draw_box *)pm__list_at(&d->boxes, d->done++);
        if (!pm__draw_one(d, &b)) return false;
    }
    return true;
}

static void pm__draw_head(pm__draw *d) {
    static const char legend[] = "= value, ! dangling, grey: shared";
    if (d->form == PM_DRAW_TREE) return;
    if (d->form == PM_DRAW_DOT)
        pm__inspect_say(&d->text, "digraph pathmap {\n  rankdir=LR;\n  node [shape=record, fontname=\"monospace\", "
                                  "height=0.2];\n  legend [shape=plaintext, label=\"");
    else pm__inspect_say(&d->text, "flowchart LR\n  legend([\"");
    pm__inspect_say(&d->text, legend);
    pm__inspect_say(&d->text, d->form == PM_DRAW_DOT ? "\"];\n" : "\"])\n");
}

PM_API pm_status pm_draw(const pm_map *const *maps, size_t n, unsigned how, pm_sink sink, void *ctx) {
    const unsigned form = how & 3u, extra = how & (PM_DRAW_NODES | PM_DRAW_NO_VALUES);
    if ((!maps && n) || n > PM__LEN_MAX / sizeof *maps || !sink) return PM_INVALID;
    if ((form | extra) != how || form > PM_DRAW_MERMAID || how == PM_DRAW_NODES ||
        how == (PM_DRAW_NODES | PM_DRAW_NO_VALUES))
        return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!maps[i]) return PM_INVALID;
    pm__draw d = {.text = {.sink = sink, .ctx = ctx}, .form = form};
    bool memory = true;
    d.nodes = (how & PM_DRAW_NODES) != 0, d.values = !(how & PM_DRAW_NO_VALUES);
    d.boxes = pm__list_of(sizeof(pm__draw_box)), d.run = pm__list_of(1);
    for (size_t i = 0; memory && i < n; i++) memory = pm__draw_count(&d, maps[i]);
    pm__draw_head(&d);
    for (size_t i = 0; memory && i < n; i++) {
        d.ops = pm_map_ops(maps[i]);
        memory = form == PM_DRAW_TREE ? pm__draw_tree(&d, maps[i], i) : pm__draw_boxes(&d, maps[i], i);
    }
    if (form == PM_DRAW_DOT) pm__inspect_say(&d.text, "}\n");
    pm__memo_free(&d.ways);
    pm__memo_free(&d.ids);
    pm__list_free(&d.boxes);
    pm__list_free(&d.run);
    return pm__inspect_done(&d.text, memory);
}

PM_API pm_status pm_dot(const pm_map *const *maps, size_t n, pm_sink sink, void *ctx) {
    return pm_draw(maps, n, PM_DRAW_DOT | PM_DRAW_NODES, sink, ctx);
}
