import django.core.validators
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
                name='SpendingLimit',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('amount', models.DecimalField(decimal_places=6, help_text='In the currency of the prices, CNY. At 0 nothing is sent.', max_digits=16, validators=[django.core.validators.MinValueValidator(0)], verbose_name='amount')),
                    ('period', models.CharField(choices=[('day', 'per day (UTC)'), ('month', 'per calendar month (UTC)'), ('ever', 'in all')], default='month', max_length=8, verbose_name='period')),
                    ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='spending_limit', to=settings.AUTH_USER_MODEL)),
                ],
                options={
                    'verbose_name': 'spending limit',
                    'verbose_name_plural': 'spending limits',
                    'db_table': 'accounts_spendinglimit',
                },
            ),
        ]),
        MoveContentTypes(models=['spendinglimit'], source='accounts', target='billing'),
    ]
