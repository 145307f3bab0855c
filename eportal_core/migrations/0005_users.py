"""Users, sessions and API keys; and of a change what was before, by which means, and a digest."""

from peewee import (
    BigIntegerField,
    BooleanField,
    Database,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from playhouse.migrate import SchemaMigrator, migrate


def up(migrator: SchemaMigrator, db: Database) -> None:
    class User(Model):
        username = TextField(primary_key=True)
        number = IntegerField(unique=True)
        backend = TextField(default="local")
        password = TextField(default="")
        readonly = BooleanField(default=True)
        description = TextField(default="")
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "user"

    class Session(Model):
        id = TextField(primary_key=True)
        user = ForeignKeyField(User, column_name="user", on_delete="CASCADE")
        created = BigIntegerField()
        seen = BigIntegerField()
        expires = BigIntegerField(null=True)
        address = TextField(default="")
        agent = TextField(default="")

        class Meta:
            database = db
            table_name = "session"

    class ApiKey(Model):
        id = TextField(primary_key=True)
        user = ForeignKeyField(User, column_name="user", on_delete="CASCADE")
        name = TextField()
        digest = TextField(unique=True)
        write = BooleanField(default=False)
        products = TextField(null=True)
        feeds = TextField(null=True)
        created = BigIntegerField()
        expires = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "api_key"

    class ApiKeyUse(Model):
        key = ForeignKeyField(ApiKey, primary_key=True, column_name="key", on_delete="CASCADE")
        time = BigIntegerField()

        class Meta:
            database = db
            table_name = "api_key_use"

    class LoginFailure(Model):
        username = TextField()
        address = TextField()
        time = BigIntegerField()

        class Meta:
            database = db
            table_name = "login_failure"
            indexes = ((("username", "time"), False), (("address", "time"), False))

    db.create_tables([User, Session, ApiKey, ApiKeyUse, LoginFailure])
    migrate(
        migrator.add_column("change", "before", TextField(null=True)),
        migrator.add_column("change", "means", TextField(default="")),
        migrator.add_column("change", "digest", TextField(default="")),
    )
