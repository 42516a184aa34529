#include "lib/base/list.h"

#include "tests/unit/support.h"

struct item {
    struct list link;
    char name;
};

static const char *names(const struct list *head)
{
    static char text[16];
    const struct item *item;
    size_t n = 0;
    LIST_EACH(item, head)
    text[n++] = item->name;
    text[n] = '\0';
    return text;
}

static void keeps_the_order_of_adding(void **state)
{
    struct list head = LIST_INIT(head);
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    assert_true(list_empty(&head));
    assert_int_equal(list_count(&head), 0);
    list_add(&head, &a.link, &a);
    list_add(&head, &b.link, &b);
    list_add(&head, &c.link, &c);
    assert_string_equal(names(&head), "abc");
    assert_int_equal(list_count(&head), 3);
}

static void removes_at_any_place_and_twice(void **state)
{
    struct list head;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, never = {.name = 'n'};
    list_init(&head);
    list_add(&head, &a.link, &a);
    list_add(&head, &b.link, &b);
    list_add(&head, &c.link, &c);
    list_remove(&b.link);
    list_remove(&b.link);
    list_remove(&never.link);
    assert_string_equal(names(&head), "ac");
    list_remove(&c.link);
    list_add(&head, &b.link, &b);
    list_remove(&a.link);
    assert_string_equal(names(&head), "b");
    list_remove(&b.link);
    assert_true(list_empty(&head));
}

static void the_body_may_remove_and_free_its_element(void **state)
{
    struct list head = LIST_INIT(head);
    for (char name = 'a'; name <= 'f'; name++) {
        struct item *item = xcalloc(1, sizeof *item);
        item->name = name;
        list_add(&head, &item->link, item);
    }
    struct item *item;
    LIST_EACH(item, &head)
    {
        if (item->name % 2)
            continue;
        list_remove(&item->link);
        free(item);
    }
    assert_string_equal(names(&head), "ace");
    LIST_EACH(item, &head)
    {
        list_remove(&item->link);
        free(item);
    }
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_adding),
        cmocka_unit_test(removes_at_any_place_and_twice),
        cmocka_unit_test(the_body_may_remove_and_free_its_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
