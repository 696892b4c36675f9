/* Letters and digits, for the files of this room. ASCII alone: another module may have called setlocale(), and then <ctype.h>
 * says of a Turkish I that it is no capital i, and of bytes above 127 that they are letters. */
#ifndef OKTASSO_BASE_PRIVATE_H
#define OKTASSO_BASE_PRIVATE_H

#include <stdbool.h>

static inline bool oks_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool oks_is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static inline char oks_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Of one hexadecimal digit; -1 for another character. */
static inline int oks_hex_value(char c)
{
    if (oks_is_digit(c)) return c - '0';
    c = oks_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
