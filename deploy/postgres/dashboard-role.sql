-- The role that the dashboard reads with: it may select from what the pages show, and do nothing else.
--
-- Run it on the platform's database as the owner of its tables, after every `abp migrate`; it can be repeated:
--
--     psql "$ABP_DATABASE_URL" --file deploy/postgres/dashboard-role.sql
--     psql "$ABP_DATABASE_URL" --command "CREATE USER dashboard PASSWORD '...' IN ROLE abp_dashboard"
--
-- and give that user's address to the dashboard as ABP_DASHBOARD_DATABASE_URL.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'abp_dashboard') THEN
        CREATE ROLE abp_dashboard NOLOGIN;
    END IF;
END
$$;

-- What was launched, and how it came about.
GRANT SELECT ON abp_version, experiments, experiment_changes, arms, artifacts, trials, study_trials, datasets, titles
    TO abp_dashboard;

-- What was computed.
GRANT SELECT ON looks, lifts, lift_views, segment_lifts, segment_tests, decisions, sample_ratios, checks, truths,
    alerts, documents TO abp_dashboard;

-- One user, looked up by id: the page "A user". Leave it out where nobody is to look users up.
GRANT SELECT ON exposures, events, mixed_users, interactions, user_attributes, erasures TO abp_dashboard;

-- The true lifts of replays that were analysed before they were stored are computed from these.
GRANT SELECT ON potential_outcomes TO abp_dashboard;

-- Sign-in by token (ABP_DASHBOARD_SIGN_IN=token) compares what is shown with these: they hold the sha256 of 256 random
-- bits, from which no token can be found. Leave it out under any other sign-in.
GRANT SELECT ON tokens TO abp_dashboard;
