import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.db.moved_models import MoveContentTypes


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0006_plural_names'),
        ('contenttypes', '0002_remove_content_type_name'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # The tables exist; see the migrations of the app that the models come from.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.CreateModel(
                name='IdempotencyKey',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('key', models.CharField(max_length=200)),
                    ('digest', models.CharField(help_text='SHA-256 of method, address and body.', max_length=64)),
                    ('claimed_at', models.DateTimeField()),
                    ('finished_at', models.DateTimeField(blank=True, null=True)),
                    ('status', models.PositiveSmallIntegerField(blank=True, null=True)),
                    ('headers', models.JSONField(blank=True, default=dict)),
                    ('body', models.TextField(blank=True)),
                    ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='idempotency_keys', to=settings.AUTH_USER_MODEL)),
                ],
                options={
                    'verbose_name': 'idempotency key',
                    'verbose_name_plural': 'idempotency keys',
                    'db_table': 'accounts_idempotencykey',
                    'indexes': [models.Index(fields=['claimed_at'], name='idempotency_age')],
                    'constraints': [models.UniqueConstraint(fields=('user', 'key'), name='idempotency_key_unique_per_user')],
                },
            ),
        ]),
        MoveContentTypes(models=['idempotencykey'], source='accounts', target='core'),
    ]
