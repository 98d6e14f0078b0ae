from django.db import migrations

FORBID = """
CREATE FUNCTION jobs_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of jobs is append-only';
END $$;
CREATE TRIGGER jobs_event_append_only BEFORE UPDATE OR DELETE ON jobs_jobevent
    FOR EACH ROW EXECUTE FUNCTION jobs_event_append_only();
"""
ALLOW = """
DROP TRIGGER jobs_event_append_only ON jobs_jobevent;
DROP FUNCTION jobs_event_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_checkpoints")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
