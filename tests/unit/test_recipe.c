/* test_recipe: promises of the reader of recipes. */
#include "base/own.h"
#include "images/recipe.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <string.h>

#define HEAD "{\"format\":\"lazaret-recipe\",\"version\":1"

/* Reads a recipe with this text as "app.json". */
static int read_text(const char *text, struct recipe *ret, struct err *e)
{
    own_free char *path = in_dir("app.json");

    put("app.json", text);
    return recipe_read(path, ret, e);
}

START_TEST(a_short_recipe_gets_the_documented_defaults)
{
    own_recipe struct recipe r = {0};
    struct err e;

    begin();
    ck_assert_msg(read_text(HEAD "}", &r, &e) == 0, "%s", e.text);
    ck_assert_str_eq(r.name, "app");
    ck_assert_int_eq(r.variant, RECIPE_MINBASE);
    ck_assert_uint_eq(r.packages.n, 0);
    ck_assert_str_eq(r.config.workdir, "/work");
    ck_assert_uint_eq(r.config.uid, 1000);
    ck_assert_uint_eq(r.config.gid, 1000);
    end();
}
END_TEST

START_TEST(everything_in_a_recipe_is_taken_as_it_was_written)
{
    own_recipe struct recipe r = {0};
    own_free char *source = NULL;
    struct err e;

    begin();
    ck_assert_msg(
        read_text(HEAD ",\"variant\":\"extract\",\"packages\":[\"busybox-static\",\"g++\"],"
                       "\"files\":[{\"path\":\"/a\",\"text\":\"x\\n\",\"mode\":\"0750\"},"
                       "{\"path\":\"/b\",\"source\":\"b.py\"},{\"path\":\"/c\",\"link\":\"a\"},"
                       "{\"path\":\"/d\",\"folder\":true,\"mode\":\"1777\"}],"
                       "\"run\":[\"true\"],\"env\":[\"A=b=c\"],\"user\":\"33:44\","
                       "\"workdir\":\"/srv\",\"entrypoint\":[\"/a\"],\"command\":[\"-x\"]}",
                  &r, &e) == 0,
        "%s", e.text);
    ck_assert_int_eq(r.variant, RECIPE_EXTRACT);
    ck_assert_str_eq(r.packages.items[1], "g++");
    ck_assert_uint_eq(r.n_files, 4);
    ck_assert_int_eq(r.files[0].kind, RECIPE_TEXT);
    ck_assert_uint_eq(r.files[0].mode, 0750);
    source = in_dir("b.py");
    ck_assert_str_eq(r.files[1].value, source);
    ck_assert_uint_eq(r.files[1].mode, 0644);
    ck_assert_int_eq(r.files[2].kind, RECIPE_LINK);
    ck_assert_uint_eq(r.files[3].mode, 01777);
    ck_assert_str_eq(r.run.items[0], "true");
    ck_assert_str_eq(r.config.env.items[0], "A=b=c");
    ck_assert_uint_eq(r.config.uid, 33);
    ck_assert_uint_eq(r.config.gid, 44);
    ck_assert_str_eq(r.config.workdir, "/srv");
    ck_assert_str_eq(r.config.entrypoint.items[0], "/a");
    ck_assert_str_eq(r.config.command.items[0], "-x");
    end();
}
END_TEST

START_TEST(a_wrong_recipe_is_the_authors_error_and_names_what_is_wrong)
{
    static const struct {
        const char *text, *names;
    } rows[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{}", "format"},
        {"{\"format\":\"lazaret-image\",\"version\":1}", "lazaret-recipe"},
        {"{\"format\":\"lazaret-recipe\",\"version\":2}", "version"},
        {HEAD ",\"pakages\":[]}", "pakages"},
        {HEAD ",\"suite\":\"sid\"}", "suite"},
        {HEAD ",\"variant\":\"tiny\"}", "variant"},
        {HEAD ",\"variant\":\"extract\"}", "neither"},
        {HEAD ",\"packages\":\"python3\"}", "packages"},
        {HEAD ",\"packages\":[1]}", "packages"},
        {HEAD ",\"packages\":[\"-o\"]}", "'-o'"},
        {HEAD ",\"packages\":[\"a,b\"]}", "'a,b'"},
        {HEAD ",\"packages\":[\"?essential\"]}", "'?essential'"},
        {HEAD ",\"packages\":[\"git-\"]}", "'git-'"},
        {HEAD ",\"files\":[1]}", "entry 1"},
        {HEAD ",\"files\":[{\"path\":\"a\",\"text\":\"\"}]}", "absolute"},
        {HEAD ",\"files\":[{\"path\":\"/a\"}]}", "needs one of"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"text\":\"\",\"link\":\"b\"}]}", "exclude"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"link\":\"\"}]}", "empty"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"link\":\"b\",\"mode\":\"0644\"}]}", "no mode"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"text\":\"\",\"mode\":\"4755\"}]}", "set-id"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"text\":\"\",\"mode\":\"rwx\"}]}", "mode"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"text\":\"\",\"mode\":\"0999\"}]}", "mode"},
        {HEAD ",\"files\":[{\"path\":\"/a\",\"folder\":false}]}", "folder"},
        {HEAD ",\"user\":\"root\"}", "user"},
        {HEAD ",\"user\":\"0\"}", "user"},
        {HEAD ",\"user\":\"1:65536\"}", "user"},
        {HEAD ",\"env\":[\"=x\"]}", "env"},
        {HEAD ",\"env\":[\"x\"]}", "env"},
        {HEAD ",\"workdir\":\"srv\"}", "workdir"},
        {HEAD ",\"run\":[\"\"]}", "run"},
    };

    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_recipe struct recipe r = {0};
        struct err e = {0};

        ck_assert_msg(read_text(rows[i].text, &r, &e) == -1, "row %zu", i);
        ck_assert_msg(e.class == ERR_USAGE, "row %zu: %s", i, e.text);
        ck_assert_msg(strstr(e.text, rows[i].names) != NULL, "row %zu: %s", i, e.text);
        ck_assert_msg(strstr(e.text, "app.json") != NULL, "row %zu: %s", i, e.text);
    }
    end();
}
END_TEST

START_TEST(the_recipes_that_are_shipped_are_right)
{
    static const char *const names[] = {"minimal", "python", "shell"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        own_free char *path = str_printf("%s/%s.json", getenv("LZ_RECIPES"), names[i]);
        own_recipe struct recipe r = {0};
        struct err e;

        ck_assert_msg(recipe_read(path, &r, &e) == 0, "%s", e.text);
        ck_assert_str_eq(r.name, names[i]);
        ck_assert(r.description[0] != '\0');
    }
}
END_TEST

SUITE("recipe", a_short_recipe_gets_the_documented_defaults,
      everything_in_a_recipe_is_taken_as_it_was_written,
      a_wrong_recipe_is_the_authors_error_and_names_what_is_wrong,
      the_recipes_that_are_shipped_are_right)
