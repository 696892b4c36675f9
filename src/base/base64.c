/* Base64, base64url and hexadecimal: strict, by table. */
#include "oktasso/base.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BAD 0x80
/* The value of each character of the url alphabet; 0x80 for all others. */
static const unsigned char url_value[256] = {
#define B8 BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD
    B8, B8, B8, B8, B8,
    BAD, BAD, BAD, BAD, BAD, 62, BAD, BAD,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, BAD, BAD, BAD, BAD, 63,
    BAD, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, BAD, BAD, BAD, BAD, BAD,
    B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8, B8
#undef B8
};

apr_ssize_t oks_base64url_decode_into(unsigned char *out, apr_size_t size, oks_span_t text)
{
    const unsigned char *in = (const unsigned char *)text.ptr;
    apr_size_t whole = text.len / 4, rest = text.len % 4, need = whole * 3 + (rest ? rest - 1 : 0);
    unsigned char bad = 0, *start = out;
    if (rest == 1 || need > size) return -1;
    for (apr_size_t i = 0; i < whole; i++, in += 4, out += 3) {
        unsigned a = url_value[in[0]], b = url_value[in[1]], c = url_value[in[2]], d = url_value[in[3]];
        bad |= (unsigned char)(a | b | c | d);
        out[0] = (unsigned char)(a << 2 | b >> 4);
        out[1] = (unsigned char)(b << 4 | c >> 2);
        out[2] = (unsigned char)(c << 6 | d);
    }
    if (rest) {
        unsigned a = url_value[in[0]], b = url_value[in[1]], c = rest == 3 ? url_value[in[2]] : 0;
        bad |= (unsigned char)(a | b | c);
        /* The unused bits of the last character are zero in the one canonical text of these bytes. */
        if ((rest == 2 && (b & 15)) || (rest == 3 && (c & 3))) return -1;
        *out++ = (unsigned char)(a << 2 | b >> 4);
        if (rest == 3) *out++ = (unsigned char)(b << 4 | c >> 2);
    }
    return bad & BAD ? -1 : (apr_ssize_t)(out - start);
}

oks_err_t *oks_base64url_decode(oks_span_t *bytes, oks_span_t text, apr_pool_t *pool)
{
    apr_size_t size = text.len / 4 * 3 + 3;
    unsigned char *out = apr_palloc(pool, size);
    apr_ssize_t len = oks_base64url_decode_into(out, size, text);
    if (len < 0) return oks_err(pool, OKS_R_BASE_BASE64_MALFORMED, "not base64url");
    *bytes = oks_span((char *)out, (apr_size_t)len);
    return NULL;
}

oks_err_t *oks_base64_decode(oks_span_t *bytes, oks_span_t text, apr_pool_t *pool)
{
    /* Rewritten into the url alphabet without blanks and padding, then decoded by the one decoder. */
    char *plain = apr_palloc(pool, text.len + 1);
    apr_size_t len = 0, padding = 0;
    for (apr_size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (url_value[(unsigned char)c] < 62 && !padding) { /* a letter or digit: the same in both */
            plain[len++] = c;
            continue;
        }
        if (c == ' ' || c == '\r' || c == '\n' || c == '\t') continue;
        if (c == '=') {
            padding++;
            continue;
        }
        if (padding || c == '-' || c == '_') return oks_err(pool, OKS_R_BASE_BASE64_MALFORMED, "byte %" APR_SIZE_T_FMT, i);
        plain[len++] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    if ((len + padding) % 4 != 0 || padding > 2) return oks_err(pool, OKS_R_BASE_BASE64_MALFORMED, "padding or length");
    return oks_base64url_decode(bytes, oks_span(plain, len), pool);
}

static char *encode(oks_span_t bytes, const char *letters, apr_size_t *length, apr_pool_t *pool)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    char *out = apr_palloc(pool, bytes.len / 3 * 4 + 5), *p = out;
    apr_size_t i = 0;
    for (; i + 2 < bytes.len; i += 3) {
        *p++ = letters[in[i] >> 2];
        *p++ = letters[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *p++ = letters[(in[i + 1] & 15) << 2 | in[i + 2] >> 6];
        *p++ = letters[in[i + 2] & 63];
    }
    if (i < bytes.len) {
        unsigned second = i + 1 < bytes.len ? in[i + 1] : 0;
        *p++ = letters[in[i] >> 2];
        *p++ = letters[(in[i] & 3u) << 4 | second >> 4];
        if (i + 1 < bytes.len) *p++ = letters[(second & 15) << 2];
    }
    *length = (apr_size_t)(p - out);
    *p = '\0';
    return out;
}

const char *oks_base64url_encode(oks_span_t bytes, apr_pool_t *pool)
{
    apr_size_t length;
    return encode(bytes, alphabet_url, &length, pool);
}

const char *oks_base64_encode(oks_span_t bytes, apr_pool_t *pool)
{
    apr_size_t length;
    char *out = encode(bytes, alphabet, &length, pool);
    while (length % 4) out[length++] = '=';
    out[length] = '\0';
    return out;
}

const char *oks_hex_encode(oks_span_t bytes, apr_pool_t *pool)
{
    static const char digits[] = "0123456789abcdef";
    char *out = apr_palloc(pool, bytes.len * 2 + 1);
    for (apr_size_t i = 0; i < bytes.len; i++) {
        out[2 * i] = digits[(unsigned char)bytes.ptr[i] >> 4];
        out[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    out[bytes.len * 2] = '\0';
    return out;
}

bool oks_hex_decode_into(unsigned char *out, apr_size_t size, oks_span_t text)
{
    if (text.len != size * 2) return false;
    for (apr_size_t i = 0; i < size; i++) {
        int high = oks_hex_value(text.ptr[2 * i]), low = oks_hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
