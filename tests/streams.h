/* Streams in memory for pm_read_fn and pm_write_fn, whose calls can be made to fail. Include after check.h and
   pathmap.h. */
#ifndef STREAMS_H
#define STREAMS_H

typedef struct stream {
    uint8_t *data;
    size_t len, cap, at;
    size_t step;      /* bytes that a read gives at most; 0: what is asked for */
    uint64_t calls;
    uint64_t fail_at; /* the call that fails; 0: none */
} stream;

CHECK__UNUSED static pm_status stream_write(void *ctx, const void *from, size_t n) {
    stream *s = ctx;
    CHECK(n > 0);
    if (++s->calls == s->fail_at) return PM_BUSY; /* a status of its own, that must come through */
    if (s->cap - s->len < n) {
        s->cap = (s->len + n) * 2;
        s->data = realloc(s->data, s->cap);
        if (!s->data) abort();
    }
    memcpy(s->data + s->len, from, n);
    s->len += n;
    return PM_OK;
}

CHECK__UNUSED static pm_status stream_read(void *ctx, void *to, size_t n, size_t *got) {
    stream *s = ctx;
    CHECK(n > 0);
    if (++s->calls == s->fail_at) return PM_BUSY;
    if (s->step && n > s->step) n = s->step;
    if (n > s->len - s->at) n = s->len - s->at;
    if (n) memcpy(to, s->data + s->at, n);
    s->at += n;
    *got = n;
    return PM_OK;
}

CHECK__UNUSED static void stream_free(stream *s) {
    free(s->data);
    *s = (stream){0};
}

#endif
