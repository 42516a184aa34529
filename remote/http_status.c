/* http_status.c -- errors and the statuses that say them: one table for all who reply. */
#include <errno.h>

#include "lib/base/err.h"
#include "lib/base/auto.h"
#include "remote/http.h"

/* For a status that more than one error has, the first row is the one that it is called by. */
static const struct {
    int error, status;
} rows[] = {
    {ERR_INVALID, 400},     {ERR_SYNTAX, 400},    {ERR_USAGE, 400},
    {ERR_LOGIN, 401},       {ERR_DENIED, 403},    {ERR_POLICY, 403},
    {ERR_NOT_FOUND, 404},   {ERR_EXISTS, 409},    {ERR_NOT_RUNNING, 409},
    {ERR_UNSUPPORTED, 409}, {ERR_REVOKED, 409},   {ERR_UNSUPPORTED_VERSION, 409},
    {ERR_EXPIRED, 409},     {ERR_CANCELLED, 409}, {ERR_FULL, 409},
    {ERR_TOO_BIG, 413},     {ERR_TOO_MANY, 429},  {ERR_BUSY, 503},
    {ERR_UNREACHABLE, 503}, {ERR_STOPPING, 503},  {ERR_NOT_READY, 503},
    {-ETIMEDOUT, 503},
    {-ENOSPC, 507},
};

int http_status_of(int error)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].error == error)
            return rows[i].status;
    return 500;
}

/* Some statuses are HTTP's own: no error of ours leads to them. */
int http_error_of(int status)
{
    switch (status) {
    case 405:
    case 415:
    case 505:
        return ERR_UNSUPPORTED;
    case 411:
        return ERR_INVALID;
    case 421:
        return ERR_NOT_FOUND;
    case 431:
        return ERR_TOO_BIG;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].status == status)
            return rows[i].error;
    return ERR_FAILED;
}
