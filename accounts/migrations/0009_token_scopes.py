from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_plain_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='scope_text',
            field=models.CharField(db_default='read create operate', default='read create operate', editable=False, max_length=64),
        ),
    ]
