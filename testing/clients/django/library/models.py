"""A library, with nearly every kind of field."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Upper


class Author(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField(unique=True, null=True)
    born = models.DateField(null=True)
    biography = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(Lower("name"), name="author_lower_name")]
        ordering = ["name"]


class Tag(models.Model):
    slug = models.SlugField(primary_key=True)


class Book(models.Model):
    title = models.CharField(max_length=200, db_index=True)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    tags = models.ManyToManyField(Tag, blank=True)
    pages = models.PositiveIntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    rating = models.FloatField(null=True)
    published = models.BooleanField(default=False)
    data = models.JSONField(default=dict)
    added = models.DateTimeField(auto_now_add=True)
    shelf = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="price_not_negative"),
            models.UniqueConstraint(fields=["title", "author"], name="one_title_an_author"),
            models.UniqueConstraint(fields=["shelf"], condition=Q(published=True), name="one_published_a_shelf"),
        ]


class Everything(models.Model):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    big = models.BigIntegerField()
    small = models.SmallIntegerField()
    flag = models.BooleanField(null=True)
    raw = models.BinaryField()
    day = models.DateField()
    moment = models.DateTimeField()
    clock = models.TimeField()
    span = models.DurationField()
    amount = models.DecimalField(max_digits=20, decimal_places=6)
    ratio = models.FloatField()
    text = models.TextField()
    url = models.URLField()
    doc = models.JSONField(null=True)
    numbers = ArrayField(models.IntegerField())
    words = ArrayField(models.CharField(max_length=20), null=True)
    shouted = models.GeneratedField(expression=Upper("text"), output_field=models.TextField(), db_persist=True)
    counted = models.IntegerField(db_default=7)


class Address(models.Model):
    ip = models.GenericIPAddressField()


class Node(models.Model):
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    name = models.CharField(max_length=20)
    weight = models.IntegerField(default=1)
