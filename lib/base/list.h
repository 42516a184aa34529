/* list.h -- an intrusive doubly linked list; the one list of the project.
 *
 *     struct app { struct list link; … };              link.owner = the app, set by list_add
 *     struct app *app;
 *     LIST_EACH(app, &apps) …                           the body may remove `app` itself */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
    void *owner; /* the element this link is part of; NULL in a head */
};

#define LIST_INIT(head)                                                                            \
    {                                                                                              \
        .next = &(head), .prev = &(head)                                                           \
    }

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
    head->owner = NULL;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Appends `link`, part of `owner`. */
static inline void list_add(struct list *head, struct list *link, void *owner)
{
    link->owner = owner;
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

/* Removes a link; a link that is zeroed or removed already stays as it is. */
static inline void list_remove(struct list *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static inline size_t list_count(const struct list *head)
{
    size_t n = 0;
    for (const struct list *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

/* Runs the body with `var` set to each element's owner in turn. */
#define LIST_EACH(var, head)                                                                       \
    for (struct list *var##_link = (head)->next, *var##_next = var##_link->next;                   \
         var##_link != (head) && ((var) = var##_link->owner, true);                                \
         var##_link = var##_next, var##_next = var##_link->next)
