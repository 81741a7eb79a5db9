use super::*;

const GROUP: &str = "k8s.starter.org";

fn version(version: &str) -> GroupVersion {
    GroupVersion::new(GROUP, version)
}

fn offers(versions: &[(&str, &str)]) -> Offers {
    let digests = versions
        .iter()
        .map(|(name, digest)| (version(name), (*digest).to_owned()));
    let mut offers = Offers::default();
    offers.digests = digests.collect();
    offers
}

fn template() -> Template {
    Template {
        service: ServiceConfig {
            namespace: "claimgate-system".to_owned(),
            name: "claimgate".to_owned(),
            port: 443,
        },
        priority: Priority {
            group_minimum: 1000,
            version: 15,
        },
        authority: Authority::Own(b"ca".to_vec()),
        owner: Some(OwnerReference {
            uid: "role".to_owned(),
            ..OwnerReference::default()
        }),
        adopt: BTreeSet::new(),
    }
}

/// Returns the APIServices that the plan creates or replaces.
fn written(plan: &Plan) -> Vec<APIService> {
    let objects = plan.actions.iter().filter_map(|action| match action {
        Action::Create(object) | Action::Replace(object) => Some((**object).clone()),
        Action::Delete { .. } => None,
    });
    objects.collect()
}

/// Returns the APIService that kube-apiserver creates for a CRD.
fn local() -> APIService {
    let labels = BTreeMap::from([(AUTOMANAGED.to_owned(), "true".to_owned())]);
    APIService {
        metadata: ObjectMeta {
            name: Some(version("v1").api_service_name()),
            uid: Some("local".to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(APIServiceSpec {
            group: Some(GROUP.to_owned()),
            version: Some("v1".to_owned()),
            ..APIServiceSpec::default()
        }),
        status: None,
    }
}

#[test]
fn offered_version_is_created_once_and_replaced_when_a_field_differs() {
    let created = written(&Plan::new(&offers(&[("v1", "a")]), Vec::new(), &template()));
    assert_eq!(created.len(), 1);
    let again = Plan::new(&offers(&[("v1", "a")]), created.clone(), &template());
    assert_eq!(
        again,
        Plan::default(),
        "an unchanged APIService is not written"
    );

    let mut changed = created.clone();
    changed[0].metadata.resource_version = Some("5".to_owned());
    changed[0].spec.as_mut().unwrap().version_priority = 3;
    let repaired = written(&Plan::new(&offers(&[("v1", "a")]), changed, &template()));
    assert_eq!(repaired[0].spec, created[0].spec);
    assert_eq!(repaired[0].metadata.resource_version.as_deref(), Some("5"));

    let touched = written(&Plan::new(&offers(&[("v1", "b")]), created, &template()));
    assert_eq!(annotation(&touched[0], OFFER).unwrap(), "b");
}

#[test]
fn fields_of_others_stay() {
    let mut created = written(&Plan::new(&offers(&[("v1", "a")]), Vec::new(), &template()));
    let labels = created[0].metadata.labels.as_mut().unwrap();
    labels.insert("team".to_owned(), "platform".to_owned());
    let again = Plan::new(&offers(&[("v1", "a")]), created, &template());
    assert_eq!(again, Plan::default());
}

#[test]
fn ca_bundle_has_one_writer() {
    let mut injecting = template();
    injecting.authority = Authority::Injected(CaInjection::Certificate("tls".to_owned()));
    let one = offers(&[("v1", "a")]);
    let mut created = written(&Plan::new(&one, Vec::new(), &injecting));
    let source = annotation(&created[0], INJECT_FROM_CERTIFICATE).unwrap();
    assert_eq!(source, "claimgate-system/tls");
    let bundle = |object: &APIService| object.spec.as_ref().unwrap().ca_bundle.clone();
    assert_eq!(bundle(&created[0]), None);

    let injected = Some(ByteString(b"injected".to_vec()));
    created[0].spec.as_mut().unwrap().ca_bundle = injected.clone();
    assert_eq!(
        Plan::new(&one, created.clone(), &injecting),
        Plan::default()
    );
    let touched = written(&Plan::new(
        &offers(&[("v1", "b")]),
        created.clone(),
        &injecting,
    ));
    assert_eq!(bundle(&touched[0]), injected);

    injecting.authority = Authority::Injected(CaInjection::Secret("tls".to_owned()));
    let moved = written(&Plan::new(&one, created.clone(), &injecting));
    assert_eq!(annotation(&moved[0], INJECT_FROM_CERTIFICATE), None);
    assert!(annotation(&moved[0], INJECT_FROM_SECRET).is_some());

    let taken_back = written(&Plan::new(&one, created, &template()));
    assert_eq!(annotation(&taken_back[0], INJECT_FROM_CERTIFICATE), None);
    assert_eq!(bundle(&taken_back[0]), Some(ByteString(b"ca".to_vec())));
}

#[test]
fn own_version_that_is_not_offered_is_deleted_with_its_uid() {
    let mut created = written(&Plan::new(&offers(&[("v1", "a")]), Vec::new(), &template()));
    created[0].metadata.uid = Some("7".to_owned());
    let plan = Plan::new(&offers(&[]), created.clone(), &template());
    let deletion = Action::Delete {
        name: version("v1").api_service_name(),
        uid: Some("7".to_owned()),
    };
    assert_eq!(plan.actions, [deletion]);

    let mut of_other_installation = template();
    of_other_installation.service.namespace = "other".to_owned();
    let plan = Plan::new(&offers(&[]), created, &of_other_installation);
    assert_eq!(plan, Plan::default());
}

#[test]
fn version_of_a_control_plane_that_was_never_reached_is_not_deleted() {
    let created = written(&Plan::new(&offers(&[("v1", "a")]), Vec::new(), &template()));
    let unknown = Offers::with_unknown(GROUP);
    assert_eq!(Plan::new(&unknown, created, &template()), Plan::default());
}

#[test]
fn version_of_a_crd_is_a_conflict_until_it_is_adopted() {
    let one = offers(&[("v1", "a")]);
    let plan = Plan::new(&one, vec![local()], &template());
    let conflict = Conflict {
        group_version: version("v1"),
        owner: Owner::Local,
    };
    assert_eq!((plan.actions, plan.conflicts), (Vec::new(), vec![conflict]));

    let mut adopting = template();
    adopting.adopt.insert(version("v1"));
    let adopted = written(&Plan::new(&one, vec![local()], &adopting));
    let labels = adopted[0].metadata.labels.as_ref().unwrap();
    assert!(!labels.contains_key(AUTOMANAGED), "{labels:?}");
    assert_eq!(adopted[0].metadata.uid.as_deref(), Some("local"));
    assert_eq!(Plan::new(&one, adopted.clone(), &adopting), Plan::default());

    let released = Plan::new(&one, adopted, &template());
    assert!(matches!(released.actions[..], [Action::Delete { .. }]));
}

#[test]
fn version_of_another_service_is_a_conflict_that_names_it() {
    let mut foreign = local();
    foreign.spec.as_mut().unwrap().service = Some(ServiceReference {
        name: Some("api".to_owned()),
        namespace: Some("metrics".to_owned()),
        port: None,
    });
    let plan = Plan::new(&offers(&[("v1", "a")]), vec![foreign], &template());
    assert_eq!(
        plan.conflicts[0].owner,
        Owner::Service("metrics/api".to_owned())
    );
    assert_eq!(plan.actions, []);
}
