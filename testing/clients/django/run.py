"""Django: migrations of its own applications and of ours, and what the ORM asks with them."""

import datetime as dt
import decimal
import os
import subprocess
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import psycopg  # noqa: E402

django.setup()

from django.contrib.auth import authenticate  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, migrations, models, transaction  # noqa: E402
from django.db.models import (  # noqa: E402
    Avg, Case, Count, Exists, ExpressionWrapper, F, FilteredRelation, Max, Min, OuterRef, Prefetch, Q, StdDev, Subquery, Sum,
    Value, When, Window,
)
from django.db.models.functions import (  # noqa: E402
    Cast, Coalesce, Concat, DenseRank, ExtractYear, Greatest, Lag, Length, Lower, Now, RowNumber, StrIndex, Substr, TruncMonth,
)

from library.models import Address, Author, Book, Everything, Node, Tag  # noqa: E402
from telling import case, equal, run  # noqa: E402

D = decimal.Decimal
UTC = dt.timezone.utc
LIBRARY = [Author, Tag, Book, Everything, Node]


@case
def migrate_contrib_applications():
    call_command("migrate", verbosity=0)
    tables = set(connection.introspection.table_names())
    for table in ("auth_user", "auth_user_groups", "django_content_type", "django_session", "django_admin_log", "django_site"):
        assert table in tables, table
    equal(ContentType.objects.filter(app_label="auth", model="user").count(), 1)
    assert Permission.objects.count() >= 24
    # A second time there is nothing to do.
    call_command("migrate", verbosity=0)


@case
def create_tables_of_all_fields():
    with connection.schema_editor() as editor:
        for model in LIBRARY:
            editor.create_model(model)


def seeds():
    Author.objects.all().delete()
    Tag.objects.all().delete()
    ada = Author.objects.create(name="Ada", email="ada@example.org", born=dt.date(1815, 12, 10))
    bob = Author.objects.create(name="bob", born=dt.date(1900, 1, 1))
    cyd = Author.objects.create(name="Cyd")
    tags = [Tag(slug=s) for s in ("a", "b", "c")]
    Tag.objects.bulk_create(tags)
    for i in range(10):
        book = Book.objects.create(
            title=f"Title {i}", author=ada if i % 2 else bob, pages=i * 100, price=D("1.25") * i, rating=i / 4,
            published=i > 4, data={"n": i, "list": [i, i + 1], "deep": {"even": i % 2 == 0}}, shelf=i,
        )
        book.tags.set(tags[: i % 4])
    return ada, bob, cyd


@case
def every_field_comes_back():
    values = dict(
        big=2**62, small=-7, flag=None, raw=bytes(range(256)), day=dt.date(2024, 2, 29),
        moment=dt.datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC), clock=dt.time(23, 59, 59, 1),
        span=dt.timedelta(days=3, seconds=5, microseconds=7), amount=D("12345.678901"), ratio=0.1, text="ünïcödé 'q'",
        url="https://example.org/x", doc={"a": [1, None, {"b": "c"}], "é": 1.5}, numbers=[3, 1, 2], words=["x,y", '"'],
    )
    made = Everything.objects.create(**values)
    back = Everything.objects.get(pk=made.pk)
    for field, value in values.items():
        got = getattr(back, field)
        equal(bytes(got) if field == "raw" else got, value, field)
    equal(back.shouted, "ÜNÏCÖDÉ 'Q'")
    equal(back.counted, 7)
    equal(Everything.objects.filter(**{k: v for k, v in values.items() if k not in ("raw", "flag")}).count(), 1)
    equal(Everything.objects.filter(numbers__contains=[1], words__overlap=["x,y"], numbers__len=3).count(), 1)
    equal(Everything.objects.filter(numbers__0=3).count(), 1)
    made.delete()


@case
def create_read_update_delete():
    ada, bob, cyd = seeds()
    assert bob.pk == ada.pk + 1
    equal(list(Author.objects.values_list("name", flat=True)), ["Ada", "Cyd", "bob"])
    author, made = Author.objects.get_or_create(name="Dee", defaults={"born": dt.date(2000, 1, 1)})
    assert made
    again, made = Author.objects.get_or_create(name="Dee")
    assert not made and again == author
    author, made = Author.objects.update_or_create(name="Dee", defaults={"biography": "long"})
    equal((made, author.biography), (False, "long"))
    equal(Author.objects.filter(name="Dee").update(name=Concat(F("name"), Value("!"))), 1)
    equal(Author.objects.filter(name="Dee!").delete(), (1, {"library.Author": 1}))
    equal(Book.objects.filter(author__name="bob").count(), 5)
    equal(bob.delete()[0], 5 + 1 + sum(i % 4 for i in range(0, 10, 2)))
    equal(Book.objects.count(), 5)


@case
def lookups():
    seeds()
    count = lambda *a, **k: Book.objects.filter(*a, **k).count()  # noqa: E731
    equal(count(title__iexact="TITLE 3"), 1)
    equal(count(title__icontains="ITLE"), 10)
    equal(count(title__startswith="Title 1"), 1)
    equal(count(title__iendswith="9"), 1)
    equal(count(title__regex=r"^Title [0-2]$"), 3)
    equal(count(title__iregex=r"^TITLE [0-2]$"), 3)
    equal(count(pages__in=[100, 200]), 2)
    equal(count(pages__range=(100, 300)), 3)
    equal(count(price__isnull=True), 0)
    equal(count(added__year=dt.datetime.now(UTC).year), 10)
    equal(count(added__date__lte=dt.date(2100, 1, 1)), 10)
    equal(count(author__born__month=12, author__born__week_day__gte=1), 5)
    equal(count(Q(pages=0) | ~Q(published=False) & Q(pages__gt=700)), 3)
    equal(count(author__in=Author.objects.filter(name="Ada")), 5)
    equal(Book.objects.exclude(tags__slug="a").count(), 3)
    equal(Book.objects.filter(tags__slug__in=["a", "b"]).distinct().count(), 7)


@case
def json_fields():
    seeds()
    titles = lambda **k: sorted(Book.objects.filter(**k).values_list("pages", flat=True))  # noqa: E731
    equal(titles(data__n=3), [300])
    equal(titles(data__n__gte=8), [800, 900])
    equal(titles(data__deep__even=True), [0, 200, 400, 600, 800])
    equal(titles(data__list__0=4), [400])
    equal(titles(data__contains={"n": 5}), [500])
    equal(titles(data__has_key="n", data__list__contains=[2]), [100, 200])
    equal(titles(data__has_any_keys=["x", "y"]), [])
    equal(titles(data__n__in=[1, 2]), [100, 200])
    equal(titles(data__missing__isnull=True), [i * 100 for i in range(10)])
    Book.objects.filter(pages=0).update(data={"s": "text", "null": None})
    equal(titles(data__s__icontains="EX"), [0])
    equal(titles(data__null=None), [0])
    equal(list(Book.objects.filter(pages=200).values_list("data__list__1", "data__deep__even")), [(3, True)])


@case
def aggregates_and_annotations():
    ada, bob, cyd = seeds()
    got = Book.objects.aggregate(Sum("pages"), Avg("price"), Max("rating"), Min("added"), n=Count("*"), deviation=StdDev("pages"))
    equal((got["pages__sum"], got["n"], got["rating__max"]), (4500, 10, 2.25))
    equal(got["price__avg"], D("5.6250000000000000"))
    assert abs(got["deviation"] - 287.2281323269) < 1e-6
    rows = Author.objects.annotate(n=Count("books"), total=Coalesce(Sum("books__pages"), 0)).order_by("name").values_list("name", "n", "total")
    equal(list(rows), [("Ada", 5, 2500), ("Cyd", 0, 0), ("bob", 5, 2000)])
    rows = Author.objects.annotate(published=Count("books", filter=Q(books__published=True))).filter(published__gt=2)
    equal([a.name for a in rows], ["Ada"])
    rows = Book.objects.annotate(kind=Case(When(pages__lt=300, then=Value("short")), default=Value("long")))
    equal(sorted(rows.values_list("kind").annotate(n=Count("id"))), [("long", 7), ("short", 3)])
    rows = Author.objects.annotate(titles=StringAgg("books__title", delimiter=", ", ordering="books__pages"), pages=ArrayAgg("books__pages", ordering="-books__pages"))
    equal(rows.get(name="Ada").titles, "Title 1, Title 3, Title 5, Title 7, Title 9")
    equal(rows.get(name="bob").pages, [800, 600, 400, 200, 0])
    rows = Book.objects.annotate(month=TruncMonth("added")).values("month").annotate(n=Count("id"))
    equal([r["n"] for r in rows], [10])
    rows = Book.objects.annotate(per=ExpressionWrapper(F("price") / (F("pages") + 1), output_field=models.DecimalField(max_digits=12, decimal_places=4)))
    equal(rows.get(pages=100).per, D("0.01237623762376237624"))
    equal(Book.objects.annotate(l=Length("title"), p=StrIndex("title", Value("3")), s=Substr(Lower("title"), 1, 3)).filter(p__gt=0).values_list("l", "p", "s").get(), (7, 7, "tit"))
    equal(Book.objects.annotate(g=Greatest("pages", Value(450)), y=ExtractYear("author__born"), t=Cast("pages", models.CharField())).filter(pages=300).values_list("g", "y", "t").get(), (450, 1815, "300"))


@case
def subqueries_and_windows():
    ada, bob, cyd = seeds()
    newest = Book.objects.filter(author=OuterRef("pk")).order_by("-pages")
    rows = Author.objects.annotate(last=Subquery(newest.values("title")[:1]), any=Exists(newest.filter(published=True)))
    equal(list(rows.values_list("name", "last", "any")), [("Ada", "Title 9", True), ("Cyd", None, False), ("bob", "Title 8", True)])
    rows = Book.objects.annotate(
        place=Window(RowNumber(), partition_by="author", order_by=F("pages").desc()),
        rank=Window(DenseRank(), order_by=F("published").asc()),
        before=Window(Lag("pages", 1), order_by="pages"),
        running=Window(Sum("pages"), order_by="pages"),
    ).order_by("pages")
    equal(list(rows.values_list("pages", "place", "rank", "before", "running"))[:3], [(0, 5, 1, None, 0), (100, 5, 1, 0, 100), (200, 4, 1, 100, 300)])
    top = Book.objects.annotate(place=Window(RowNumber(), partition_by="author", order_by="-pages")).filter(place=1)
    equal(sorted(top.values_list("pages", flat=True)), [800, 900])
    filtered = Author.objects.annotate(long=FilteredRelation("books", condition=Q(books__pages__gt=700))).filter(long__isnull=False)
    equal(sorted(filtered.values_list("name", "long__pages")), [("Ada", 900), ("bob", 800)])
    both = Book.objects.filter(pages=0).values_list("pages").union(Book.objects.filter(pages=900).values_list("pages"))
    equal(list(both.order_by("pages")), [(0,), (900,)])
    equal(Book.objects.values("pages").difference(Book.objects.filter(pages__gt=0).values("pages")).count(), 1)


@case
def relations_are_fetched():
    seeds()
    books = list(Book.objects.select_related("author").prefetch_related("tags").order_by("pages"))
    equal([b.author.name for b in books[:2]], ["bob", "Ada"])
    equal([sorted(t.slug for t in b.tags.all()) for b in books[:4]], [[], ["a"], ["a", "b"], ["a", "b", "c"]])
    authors = Author.objects.prefetch_related(Prefetch("books", Book.objects.filter(published=True), to_attr="out"))
    equal({a.name: len(a.out) for a in authors}, {"Ada": 3, "bob": 2, "Cyd": 0})
    tag = Tag.objects.get(slug="a")
    equal(tag.book_set.filter(pages__gt=500).count(), 3)
    books[3].tags.remove(tag)
    equal(books[3].tags.count(), 2)
    books[3].tags.add(tag, "b")
    equal(books[3].tags.count(), 3)


@case
def bulk_work():
    ada, bob, cyd = seeds()
    made = Book.objects.bulk_create([Book(title=f"B{i}", author=cyd, pages=i) for i in range(1000)], batch_size=300)
    equal([Book.objects.get(pk=b.pk).title for b in (made[0], made[299], made[300], made[999])], ["B0", "B299", "B300", "B999"])
    for book in made:
        book.pages += 10000
    equal(Book.objects.bulk_update(made, ["pages"], batch_size=250), 1000)
    equal(Book.objects.filter(author=cyd).aggregate(s=Sum("pages"))["s"], sum(range(1000)) + 10_000_000)
    equal(len(Book.objects.in_bulk([b.pk for b in made[:50]])), 50)
    equal(sum(1 for _ in Book.objects.filter(author=cyd).iterator(chunk_size=100)), 1000)
    again = [Tag(slug="a"), Tag(slug="z")]
    Tag.objects.bulk_create(again, ignore_conflicts=True)
    equal(Tag.objects.count(), 4)
    Book.objects.bulk_create(
        [Book(title="B1", author=cyd, pages=5), Book(title="New", author=cyd, pages=6)],
        update_conflicts=True, unique_fields=["title", "author"], update_fields=["pages"],
    )
    equal(list(Book.objects.filter(author=cyd, pages__lt=10).order_by("pages").values_list("title", "pages")), [("B1", 5), ("New", 6)])
    equal(Book.objects.filter(author=cyd).delete()[0], 1001)


@case
def transactions():
    seeds()
    before = Author.objects.count()
    try:
        with transaction.atomic():
            Author.objects.create(name="X")
            raise KeyError
    except KeyError:
        pass
    equal(Author.objects.count(), before)
    seen = []
    with transaction.atomic():
        Author.objects.create(name="X")
        try:
            with transaction.atomic():
                Author.objects.create(name="Y", email="ada@example.org")
        except IntegrityError as e:
            assert "library_author_email" in str(e), e
        transaction.on_commit(lambda: seen.append(1))
    equal((Author.objects.count(), seen), (before + 1, [1]))


@case
def select_for_update():
    seeds()
    with transaction.atomic():
        book = Book.objects.select_for_update().get(pages=300)
        book.pages = F("pages") + 1
        book.save()
        equal([b.pages for b in Book.objects.select_for_update(skip_locked=True).filter(pages__lt=150).order_by("pages")], [0, 100])
        list(Book.objects.select_related("author").select_for_update(of=("self",), no_key=True))
        list(Book.objects.select_for_update(nowait=True).filter(pages=100))
    equal(Book.objects.filter(pages=301).count(), 1)


@case
def constraints_hold():
    ada, bob, cyd = seeds()

    def refused(message, work):
        try:
            with transaction.atomic():
                work()
        except IntegrityError as e:
            assert message in str(e), e
        else:
            raise AssertionError(f"{message} was not held")

    refused("price_not_negative", lambda: Book.objects.create(title="n", author=ada, price=-1))
    refused("one_title_an_author", lambda: Book.objects.create(title="Title 1", author=ada))
    refused("one_published_a_shelf", lambda: Book.objects.create(title="p", author=ada, published=True, shelf=9))
    Book.objects.create(title="q", author=ada, published=False, shelf=9)
    refused("null value", lambda: Book.objects.filter(title="q").update(title=None))

    def orphan():
        Book.objects.create(title="o", author_id=10**9)
        connection.check_constraints()

    refused("foreign key", orphan)


@case
def trees_and_raw_sql():
    root = Node.objects.create(name="root")
    for i in range(3):
        child = Node.objects.create(name=f"c{i}", parent=root, weight=i)
        Node.objects.create(name=f"g{i}", parent=child, weight=10 * i)
    query = (
        "WITH RECURSIVE t(id, depth) AS (SELECT id, 0 FROM library_node WHERE parent_id IS NULL UNION ALL"
        " SELECT n.id, t.depth + 1 FROM library_node n JOIN t ON n.parent_id = t.id)"
        " SELECT n.*, t.depth FROM library_node n JOIN t USING (id) WHERE t.depth >= %s ORDER BY n.id"
    )
    equal([(n.name, n.depth) for n in Node.objects.raw(query, [2])], [("g0", 2), ("g1", 2), ("g2", 2)])
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM library_node WHERE name = ANY(%s) AND weight BETWEEN %s AND %s ORDER BY 1", [["c1", "g1"], 0, 10])
        equal(cursor.fetchall(), [("c1",), ("g1",)])
    assert "library_node" in Node.objects.filter(weight=1).explain()
    equal(Node.objects.filter(parent__parent=root).aggregate(s=Sum("weight"))["s"], 30)
    equal(root.delete()[0], 7)


@case
def users_groups_and_sessions():
    user = User.objects.create_user("reader", "reader@example.org", "secret")
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_user"))
    user.groups.add(group)
    equal(authenticate(username="reader", password="secret"), user)
    equal(authenticate(username="reader", password="wrong"), None)
    assert User.objects.get(pk=user.pk).has_perm("auth.view_user")
    assert User.objects.with_perm("auth.view_user", backend="django.contrib.auth.backends.ModelBackend").filter(pk=user.pk).exists()
    store = SessionStore()
    store["basket"] = [1, 2]
    store.save()
    equal(SessionStore(store.session_key)["basket"], [1, 2])
    equal(User.objects.filter(last_login__isnull=True, date_joined__lte=Now()).count(), 1)


@case
def introspection():
    with connection.cursor() as cursor:
        fields = {f.name: f for f in connection.introspection.get_table_description(cursor, "library_book")}
        equal(fields["title"].null_ok, False)
        equal(fields["title"].display_size, 200)
        constraints = connection.introspection.get_constraints(cursor, "library_book")
        assert constraints["price_not_negative"]["check"]
        equal(constraints["one_title_an_author"]["columns"], ["title", "author_id"])
        assert constraints["one_title_an_author"]["unique"]
        keys = [c["foreign_key"] for c in constraints.values() if c["foreign_key"]]
        equal(keys, [("library_author", "id")])
        equal(connection.introspection.get_primary_key_column(cursor, "library_tag"), "slug")
        sequences = connection.introspection.get_sequences(cursor, "library_book")
        equal((sequences[0]["table"], sequences[0]["column"]), ("library_book", "id"))
        equal(connection.introspection.get_relations(cursor, "library_book"), {"author_id": ("id", "library_author")})


@case
def inspectdb_prints_models():
    import io

    out = io.StringIO()
    call_command("inspectdb", "library_book", "library_author", stdout=out)
    text = out.getvalue()
    for line in ("title = models.CharField(", "author = models.ForeignKey(", "data = models.JSONField()", "price = models.DecimalField(max_digits=8, decimal_places=2"):
        assert line in text, text


@case
def schemas_change():
    from django.db.migrations.state import ProjectState

    state = ProjectState()

    def apply(*operations):
        nonlocal state
        for operation in operations:
            after = state.clone()
            operation.state_forwards("changing", after)
            with connection.schema_editor() as editor:
                operation.database_forwards("changing", editor, state, after)
            state = after

    m = migrations
    apply(
        m.CreateModel("Thing", [("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=10))]),
        m.CreateModel("Part", [("id", models.BigAutoField(primary_key=True)), ("thing", models.ForeignKey("changing.Thing", on_delete=models.CASCADE))]),
    )
    Thing = state.apps.get_model("changing", "Thing")
    Thing.objects.bulk_create([Thing(name=str(i)) for i in range(5)])
    apply(
        m.AddField("thing", "size", models.IntegerField(default=3)),
        m.AddField("thing", "note", models.TextField(null=True)),
        m.AlterField("thing", "name", models.CharField(max_length=50, db_index=True)),
        m.AlterField("thing", "size", models.BigIntegerField(default=3)),
        m.AddIndex("thing", models.Index(fields=["size", "-name"], name="thing_size")),
        m.AddConstraint("thing", models.CheckConstraint(condition=Q(size__lt=100), name="thing_small")),
        m.AddConstraint("thing", models.UniqueConstraint(fields=["name"], name="thing_name")),
        m.RenameField("thing", "note", "remark"),
        m.AlterField("thing", "remark", models.TextField(default="none")),
        m.RenameModel("Thing", "Object"),
        m.AlterModelTable("object", "renamed_objects"),
        m.RunSQL("UPDATE renamed_objects SET size = size + id"),
        m.RemoveConstraint("object", "thing_small"),
        m.AlterField("object", "size", models.CharField(max_length=20)),
    )
    Object = state.apps.get_model("changing", "Object")
    equal(list(Object.objects.order_by("id").values_list("name", "size", "remark")[:2]), [("0", "4", "none"), ("1", "5", "none")])
    Part = state.apps.get_model("changing", "Part")
    Part.objects.create(thing=Object.objects.first())
    apply(m.RemoveField("object", "remark"), m.DeleteModel("Part"), m.DeleteModel("Object"))
    assert "renamed_objects" not in connection.introspection.table_names()


@case
def ip_addresses():
    with connection.schema_editor() as editor:
        editor.create_model(Address)
    Address.objects.create(ip="10.0.0.1")
    equal(Address.objects.get(ip="10.0.0.1").ip, "10.0.0.1")


@case
def flush_and_dump():
    import io

    seeds()
    out = io.StringIO()
    call_command("dumpdata", "library.author", stdout=out)
    call_command("sqlsequencereset", "auth", stdout=io.StringIO())
    with connection.cursor() as cursor:
        tables = ["library_book_tags", "library_book", "library_tag", "library_author"]
        for sql in connection.ops.sql_flush(django.core.management.color.no_style(), tables, reset_sequences=True):
            cursor.execute(sql)
    equal((Book.objects.count(), Author.objects.count()), (0, 0))
    equal(Author.objects.create(name="first").pk, 1)


@case
def migrate_backwards():
    call_command("migrate", "sites", "zero", verbosity=0)
    call_command("migrate", "admin", "zero", verbosity=0)
    assert "django_admin_log" not in connection.introspection.table_names()


run(f"{django.__version__}, psycopg {psycopg.__version__}")

if "CASE_PREFIX" not in os.environ:
    # Once more with parameters bound by the server, in an empty schema.
    connection.close()
    with psycopg.connect("", autocommit=True) as plain:
        plain.execute("DROP SCHEMA public CASCADE")
        plain.execute("CREATE SCHEMA public")
    again = dict(os.environ, CASE_PREFIX="server_side_binding.", SERVER_SIDE_BINDING="1")
    sys.exit(subprocess.run([sys.executable, *sys.argv], env=again).returncode)
